//! A server within the test's process, and a client that reads its replies.

use std::sync::Arc;

use premise::{datadir::Contact, library::Library};
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};
use ureq::{Agent, Body, http::Response};

use crate::world::HANGS;

/// A server that runs in this process.
pub(crate) struct Server {
    pub(crate) library: Arc<Library>,
    /// Host and port.
    pub(crate) addr: String,
    pub(crate) contact: Contact,
    pub(crate) agent: Agent,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) running: Option<JoinHandle<premise::error::Result<()>>>,
}

/// A reply with its body read as JSON, or as text where it is none.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Value,
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        reply(self.agent.get(self.url(path)).call())
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        reply(self.agent.delete(self.url(path)).call())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        reply(self.agent.post(self.url(path)).send_json(body))
    }

    pub(crate) fn upload(&self, file: &str, bytes: &[u8]) -> Reply {
        reply(self.agent.post(self.url("/api/v1/documents")).query("file", file).send(bytes))
    }

    /// Posts and reads server-sent events to the end: each one's name and data.
    pub(crate) fn events(&self, path: &str, body: &Value) -> Vec<(String, Value)> {
        let request = self.agent.post(self.url(path)).header("x-premise-token", &self.contact.token);
        let mut response = request.send_json(body).expect("the server answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let text = response.body_mut().read_to_string().expect("the events can be read");
        text.split("\n\n").filter_map(event).collect()
    }
}

fn event(block: &str) -> Option<(String, Value)> {
    let name = block.lines().find_map(|line| line.strip_prefix("event:"))?.trim();
    let data = block.lines().find_map(|line| line.strip_prefix("data:"))?.trim();
    Some((name.to_owned(), serde_json::from_str(data).expect("an event's data is JSON")))
}

pub(crate) fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(HANGS)).build().into()
}

pub(crate) fn reply(response: Result<Response<Body>, ureq::Error>) -> Reply {
    let mut response = response.expect("the server answers");
    let text = response.body_mut().read_to_string().unwrap_or_default();
    Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}

impl Reply {
    /// The body of a reply that went well.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(matches!(self.status, 200..=299), "{self:?}");
        self.body
    }

    /// A refusal has a status, a code, a sentence and a hint.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["error"]["code"].as_str()), (status, Some(code)), "{self:?}");
        for field in ["message", "hint"] {
            assert!(self.body["error"][field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {self:?}");
        }
    }
}
