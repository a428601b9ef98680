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
    library::{AskEvent, Found, SearchRequest},
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
}

pub(super) async fn ask(State(app): State<App>, Body(ask): Body<Ask>) -> Reply<Response> {
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
