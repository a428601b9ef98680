//! Errors as JSON with their HTTP status: the one place that maps them.

use std::time::Duration;

use axum::{
    Json,
    body::BodyDataStream,
    extract::{FromRequest, Request},
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use tokio_stream::StreamExt;
use tracing::error;

use crate::error::{Error, Kind};

/// What a handler gives.
pub(super) type Reply<T> = Result<T, Problem>;

/// An error on its way to a browser.
#[derive(Debug)]
pub(super) struct Problem(Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

pub(super) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::BadInput => StatusCode::BAD_REQUEST,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Unreadable => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable | Kind::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        Kind::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `{"error": {code, message, hint}}`.
pub(super) fn body(error: &Error) -> serde_json::Value {
    serde_json::json!({ "error": error })
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        if problem.kind == Kind::Internal {
            error!(code = %problem.code, error = %problem, "a request failed");
        }
        let mut response = (status(problem.kind), Json(body(&problem))).into_response();
        if problem.kind == Kind::Busy {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// A JSON body, refused with our own error when it is none.
pub(super) struct Body<T>(pub T);

/// Largest JSON body.
const MOST_JSON_BYTES: usize = 1 << 20;

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        let refused = |kind, code, message: String| {
            let hint = "Send a JSON object such as {\"question\": \"When does the lease end?\"} with \
                        Content-Type: application/json";
            Problem(Error::new(kind, code, message, hint))
        };
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/json") {
            return Err(refused(Kind::BadInput, "bad_json", "the request's body is not declared as JSON".to_owned()));
        }
        let mut stream = request.into_body().into_data_stream();
        let mut bytes = Vec::new();
        while let Some(Ok(more)) = stream.next().await {
            if bytes.len() + more.len() > MOST_JSON_BYTES {
                read_to_end(&mut stream).await;
                let message = format!("the request's body has more than {} KB", MOST_JSON_BYTES >> 10);
                return Err(refused(Kind::TooLarge, "body_too_large", message));
            }
            bytes.extend_from_slice(&more);
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            refused(Kind::BadInput, "bad_json", format!("the request's body is not what is expected: {error}"))
        })
    }
}

/// Reads on past a refusal, so that the sender hears it instead of a broken connection; not for ever.
pub(super) async fn read_to_end(stream: &mut BodyDataStream) {
    let mut left = MOST_IGNORED_BYTES;
    let ignore = async {
        while let Some(Ok(bytes)) = stream.next().await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                break;
            }
        }
    };
    // A sender that takes longer gets the broken connection.
    let _in_time = tokio::time::timeout(Duration::from_secs(30), ignore).await;
}

/// Most bytes that are read only to be polite: a large scan.
const MOST_IGNORED_BYTES: usize = 1 << 30;
