//! The search page, built into the program.

use axum::{
    extract::Path,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{Html, IntoResponse, Response},
};

pub(super) async fn index() -> Html<&'static str> {
    Html(include_str!("assets/index.html"))
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let (kind, text) = match name.as_str() {
        "app.css" => ("text/css; charset=utf-8", include_str!("assets/app.css")),
        "answer.js" => (SCRIPT, include_str!("assets/answer.js")),
        "app.js" => (SCRIPT, include_str!("assets/app.js")),
        "files.js" => (SCRIPT, include_str!("assets/files.js")),
        "keep.js" => (SCRIPT, include_str!("assets/keep.js")),
        "kit.js" => (SCRIPT, include_str!("assets/kit.js")),
        "labels.js" => (SCRIPT, include_str!("assets/labels.js")),
        "narrow.js" => (SCRIPT, include_str!("assets/narrow.js")),
        "passages.js" => (SCRIPT, include_str!("assets/passages.js")),
        "reader.js" => (SCRIPT, include_str!("assets/reader.js")),
        "favicon.svg" => ("image/svg+xml", include_str!("assets/favicon.svg")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(CONTENT_TYPE, kind)], text).into_response()
}
