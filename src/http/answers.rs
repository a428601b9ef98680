//! What can be done with an answer that was given: its evidence as a file, and what a person thought of it.

use std::path::PathBuf;

use axum::{
    Json, body,
    extract::{Path, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    App, guard,
    reply::{Body, Reply},
};
use crate::{
    error::{Error, Kind, Result},
    library::{Answer, Export, Library, Opinion},
};

/// The evidence of a late answer, by its identity.
pub(super) async fn bundle(State(app): State<App>, Path(id): Path<String>) -> Reply<Response> {
    let id = parsed(&id)?;
    let bytes = app.library.blocking(move |library| library.export_given(id)).await?;
    Ok(zip(bytes, id))
}

/// The evidence of an answer that the caller has kept.
pub(super) async fn export(State(app): State<App>, Body(answer): Body<Answer>) -> Reply<Response> {
    let id = answer.id;
    let bytes = app.library.blocking(move |library| library.export(&answer)).await?;
    Ok(zip(bytes, id))
}

fn zip(bytes: Vec<u8>, id: Uuid) -> Response {
    let mut response = body::Body::from(bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", file_name(id))) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// The name of an answer's bundle.
pub(crate) fn file_name(id: Uuid) -> String {
    let id = id.simple().to_string();
    format!("premise-answer-{}.zip", &id[..8])
}

/// What a person thought of an answer.
#[derive(Deserialize)]
pub(super) struct Judged {
    answer: Uuid,
    opinion: Opinion,
}

pub(super) async fn judge(State(app): State<App>, Body(judged): Body<Judged>) -> Reply<StatusCode> {
    app.library.blocking(move |library| library.judge_given(judged.answer, judged.opinion)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an opinion back; who knows the answer's identity was given the answer.
pub(super) async fn take_back(State(app): State<App>, Path(id): Path<String>) -> Reply<StatusCode> {
    let id = parsed(&id)?;
    app.library.blocking(move |library| library.drop_feedback(Some(id))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All opinions hold the questions of all people: only for the command line of the same machine.
pub(super) async fn feedback(State(app): State<App>, headers: HeaderMap) -> Reply<Json<Value>> {
    guard::require_token(&app, &headers)?;
    let feedback = app.library.blocking(Library::feedback).await?;
    Ok(Json(json!({ "feedback": feedback })))
}

pub(super) async fn clear_feedback(State(app): State<App>, headers: HeaderMap) -> Reply<Json<Value>> {
    guard::require_token(&app, &headers)?;
    let cleared = app.library.blocking(|library| library.drop_feedback(None)).await?;
    Ok(Json(json!({ "cleared": cleared })))
}

/// A folder to write the opinions into.
#[derive(Serialize, Deserialize)]
pub(crate) struct ExportRequest {
    pub(crate) folder: PathBuf,
}

pub(super) async fn export_feedback(
    State(app): State<App>,
    headers: HeaderMap,
    Body(request): Body<ExportRequest>,
) -> Reply<Json<Export>> {
    guard::require_token(&app, &headers)?;
    Ok(Json(app.library.blocking(move |library| library.export_feedback(&request.folder)).await?))
}

fn parsed(id: &str) -> Result<Uuid> {
    id.parse().map_err(|_| {
        Error::new(
            Kind::NotFound,
            "unknown_answer",
            "there is no such answer",
            "Use the `id` that came with the answer",
        )
    })
}
