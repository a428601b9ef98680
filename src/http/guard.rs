//! Who may send requests: only pages of this service itself, so that no other web site open in the same browser can
//! read files or change anything; and what a browser may do with the answers.

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    response::Response,
};

use super::{App, reply::Reply};
use crate::error::{Error, Kind};

/// Header with the secret of the data folder.
pub(crate) const TOKEN: &str = "x-premise-token";

pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Reply<Response> {
    let headers = request.headers();
    // A foreign name that was pointed at this address (DNS rebinding) comes with that name.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !app.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
        return Err(Error::new(
            Kind::Forbidden,
            "unknown_host",
            format!("this service does not answer to the name {host}"),
            "Use the address that it printed, or list the name under [serve] hosts in the settings",
        )
        .into());
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && is_foreign(headers, host) {
        return Err(Error::new(
            Kind::Forbidden,
            "foreign_page",
            "requests from pages of other sites are refused",
            "Use the search page of this service",
        )
        .into());
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(
        CONTENT_SECURITY_POLICY,
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    set(CACHE_CONTROL, "no-store");
    Ok(response)
}

fn is_foreign(headers: &HeaderMap, host: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let other_origin =
        origin.is_some_and(|origin| origin.split_once("://").is_none_or(|(_, from)| !from.eq_ignore_ascii_case(host)));
    other_origin || text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// Whether the request knows the data folder's secret.
pub(super) fn require_token(app: &App, headers: &HeaderMap) -> Reply<()> {
    let given = headers.get(TOKEN).map(HeaderValue::as_bytes).unwrap_or_default();
    // Compared over the whole length, so that the time says nothing about how much of it was right.
    let expected = app.token.as_bytes();
    let same = given.len() == expected.len()
        && given.iter().zip(expected).fold(0, |different, (a, b)| different | (a ^ b)) == 0;
    if same {
        return Ok(());
    }
    Err(Error::new(
        Kind::Forbidden,
        "no_token",
        "this request needs the data folder's token",
        "Use the command line on the machine itself: `premise sync FOLDER`",
    )
    .into())
}
