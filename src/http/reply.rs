//! Errors as JSON with their HTTP status: the one place that maps them.

use axum::{
    Json,
    extract::{FromRequest, Request, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
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

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => {
                let (kind, code) = match &rejection {
                    JsonRejection::BytesRejection(_) => (Kind::TooLarge, "body_too_large"),
                    _ => (Kind::BadInput, "bad_json"),
                };
                let hint = "Send a JSON object such as {\"question\": \"When does the lease end?\"} with \
                            Content-Type: application/json";
                Err(Error::new(kind, code, rejection.body_text(), hint).into())
            }
        }
    }
}
