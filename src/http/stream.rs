//! Sync over HTTP, for the command line of the same machine: progress as server-sent events, the report last.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::{
    App, guard,
    reply::{Body, Reply, body},
};
use crate::library::{Progress, SyncReport};

/// A folder to sync.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SyncRequest {
    pub(crate) folder: PathBuf,
    pub(crate) collection: String,
}

/// What a sync sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SyncEvent {
    Progress(Progress),
    Done(Box<SyncReport>),
}

/// Runs a sync; when the caller goes, it stops after what it is reading, and the next one goes on.
pub(super) async fn sync(
    State(app): State<App>,
    headers: HeaderMap,
    Body(request): Body<SyncRequest>,
) -> Reply<Response> {
    guard::require_token(&app, &headers)?;
    let (events, receiver) = mpsc::channel(256);
    let library = app.library.clone();
    tokio::task::spawn_blocking(move || {
        let stop = Arc::new(AtomicBool::new(false));
        let report = library.sync(&request.collection, &request.folder, &stop, &|progress| {
            if app.stop.load(Ordering::Relaxed) || events.blocking_send(Ok(SyncEvent::Progress(progress))).is_err() {
                stop.store(true, Ordering::Relaxed);
            }
        });
        drop(events.blocking_send(report.map(|report| SyncEvent::Done(Box::new(report)))));
    });
    let stream = ReceiverStream::new(receiver).map(|event| match event {
        Ok(event) => Event::default().event("sync").json_data(event),
        Err(error) => Event::default().event("error").json_data(&body(&error)["error"]),
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response())
}
