//! Search and ask over HTTP; an answer comes whole as JSON or, with `stream`, as server-sent events.

use axum::{
    Json,
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use serde::Deserialize;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::{
    App,
    reply::{Body, Reply, body},
};
use crate::{
    error::Error,
    library::{AskEvent, EachEvent, Found, SearchRequest},
};

pub(super) async fn search(State(app): State<App>, Body(request): Body<SearchRequest>) -> Reply<Json<Found>> {
    Ok(Json(app.library.search(&request).await?))
}

#[derive(Deserialize)]
pub(super) struct Ask {
    #[serde(flatten)]
    request: SearchRequest,
    #[serde(default)]
    stream: bool,
    /// Ask each document by itself.
    #[serde(default)]
    each: bool,
}

pub(super) async fn ask(State(app): State<App>, Body(ask): Body<Ask>) -> Reply<Response> {
    if ask.each {
        return ask_each(&app, ask).await;
    }
    let mut events = app.library.ask(ask.request).await?;
    if ask.stream {
        let stream = ReceiverStream::new(events).map(|event| as_sse(&event));
        return Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response());
    }
    while let Some(event) = events.recv().await {
        match event {
            AskEvent::Done(answer) => return Ok(Json(answer).into_response()),
            AskEvent::Failed(error) => return Err(error.into()),
            AskEvent::Passages(..) | AskEvent::Evidence(_) | AskEvent::Queued(_) | AskEvent::Piece(_) => {}
        }
    }
    Err(Error::internal("the answer broke off").into())
}

async fn ask_each(app: &App, ask: Ask) -> Reply<Response> {
    let mut events = app.library.ask_each(ask.request).await?;
    if ask.stream {
        let stream = ReceiverStream::new(events).map(|event| each_as_sse(&event));
        return Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response());
    }
    let mut rows = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            EachEvent::Planned(_) => {}
            EachEvent::Row(row) => rows.push(row),
            EachEvent::Done { total_ms } => {
                return Ok(Json(serde_json::json!({ "rows": rows, "total_ms": total_ms })).into_response());
            }
            EachEvent::Failed(error) => return Err(error.into()),
        }
    }
    Err(Error::internal("the answer broke off").into())
}

fn each_as_sse(event: &EachEvent) -> Result<Event, axum::Error> {
    match event {
        EachEvent::Planned(documents) => {
            Event::default().event("planned").json_data(serde_json::json!({ "documents": documents }))
        }
        EachEvent::Row(row) => Event::default().event("row").json_data(row),
        EachEvent::Done { total_ms } => {
            Event::default().event("done").json_data(serde_json::json!({ "total_ms": total_ms }))
        }
        EachEvent::Failed(error) => Event::default().event("error").json_data(&body(error)["error"]),
    }
}

fn as_sse(event: &AskEvent) -> Result<Event, axum::Error> {
    match event {
        AskEvent::Passages(found) => Event::default().event("passages").json_data(found),
        AskEvent::Evidence(quotes) => {
            Event::default().event("evidence").json_data(serde_json::json!({ "quotes": quotes }))
        }
        AskEvent::Queued(place) => Event::default().event("queued").json_data(serde_json::json!({ "place": place })),
        AskEvent::Piece(text) => Event::default().event("piece").json_data(serde_json::json!({ "text": text })),
        AskEvent::Done(answer) => Event::default().event("done").json_data(answer),
        AskEvent::Failed(error) => Event::default().event("error").json_data(&body(error)["error"]),
    }
}
