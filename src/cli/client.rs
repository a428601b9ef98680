//! The server that has the data folder, reached over loopback. Never goes through a proxy.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use premise_ingest::Caution;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{HeaderValue, Response},
};

use super::{
    desk::{AskedEach, Listed},
    keep::Which,
    progress::Bar,
};
use crate::{
    datadir::Contact,
    db::Failure,
    error::{Error, Kind, Result},
    http::{ExportRequest, PASSWORD, SyncEvent, SyncRequest, TOKEN},
    library::{
        Added, Answer, Cautioned, Export, Found, Gathered, Judgement, NamedFile, PartlyRead, Progress, Row,
        SearchRequest, Status, SyncReport, gather_files,
    },
};

/// Larger than any bundle.
const MOST_BUNDLE_BYTES: u64 = 256 << 20;

pub(super) struct Client {
    agent: Agent,
    contact: Contact,
}

impl Client {
    pub(super) fn new(contact: Contact) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        Self { agent, contact }
    }

    pub(super) fn search(&self, request: &SearchRequest) -> Result<Found> {
        read(self.post("search", request)?)
    }

    pub(super) fn ask(&self, request: &SearchRequest, bar: &Bar) -> Result<Answer> {
        let mut body = serde_json::to_value(request).map_err(Error::internal)?;
        body["stream"] = true.into();
        let mut answer = None;
        events(self.post("ask", &body)?, |event, data| {
            match event {
                "passages" => bar.found(data["passages"].as_array().map_or(0, Vec::len)),
                "queued" => bar.queued(data["place"].as_u64().unwrap_or_default() as usize),
                "evidence" => {
                    let quotes = serde_json::from_value::<Vec<crate::library::Quote>>(data["quotes"].clone());
                    bar.quotes(&quotes.unwrap_or_default());
                }
                "piece" => bar.piece(data["text"].as_str().unwrap_or_default()),
                "done" => answer = Some(serde_json::from_value(data).map_err(Error::internal)?),
                _ => {}
            }
            Ok(())
        })?;
        answer.ok_or_else(broke_off)
    }

    pub(super) fn ask_each(&self, request: &SearchRequest, bar: &Bar) -> Result<AskedEach> {
        let mut body = serde_json::to_value(request).map_err(Error::internal)?;
        body["stream"] = true.into();
        body["each"] = true.into();
        let mut rows: Vec<Row> = Vec::new();
        let mut is_done = false;
        let ended = events(self.post("ask", &body)?, |event, data| {
            match event {
                "planned" => bar.planned(data["documents"].as_u64().unwrap_or_default() as usize),
                "row" => {
                    let row: Row = serde_json::from_value(data).map_err(Error::internal)?;
                    bar.answered(&row.file);
                    rows.push(row);
                }
                "done" => is_done = true,
                _ => {}
            }
            Ok(())
        });
        let error = if is_done { None } else { Some(ended.err().unwrap_or_else(broke_off)) };
        Ok(AskedEach { rows, error })
    }

    pub(super) fn sync(&self, collection: String, folder: PathBuf, stop: &AtomicBool, bar: &Bar) -> Result<SyncReport> {
        let mut report = None;
        events(self.post("sync", &SyncRequest { folder, collection })?, |event, data| {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::new(
                    Kind::Stopped,
                    "stopped",
                    "stopped before the end",
                    "The server stores what is complete; run the same command again to go on",
                ));
            }
            if event == "sync" {
                match serde_json::from_value(data).map_err(Error::internal)? {
                    SyncEvent::Progress(progress) => bar.note(progress),
                    SyncEvent::Done(done) => report = Some(*done),
                }
            }
            Ok(())
        })?;
        bar.finish();
        report.ok_or_else(broke_off)
    }

    pub(super) fn add(
        &self,
        collection: &str,
        files: &[PathBuf],
        passwords: &[SecretString],
        stop: &AtomicBool,
        bar: &Bar,
    ) -> Added {
        let started = Instant::now();
        let Gathered { files, unsupported, failed } = gather_files(files);
        let mut added = Added { failed, unsupported, ..Added::default() };
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        bar.note(Progress::Planned { files: files.len(), size_bytes: files.iter().map(|file| size(&file.path)).sum() });
        for NamedFile { path, name } in files {
            if stop.load(Ordering::Relaxed) {
                added.interrupted = true;
                break;
            }
            match self.upload(collection, &name, &path, passwords) {
                Ok(document) => {
                    let problems: Vec<String> =
                        serde_json::from_value(document["problems"].clone()).unwrap_or_default();
                    if !problems.is_empty() {
                        added.partly.push(PartlyRead { file: name.clone(), problems });
                    }
                    added.pages += document["pages"].as_u64().unwrap_or_default();
                    added.chunks += document["chunks"].as_u64().unwrap_or_default();
                    let cautions: Vec<Caution> =
                        serde_json::from_value(document["cautions"].clone()).unwrap_or_default();
                    if !cautions.is_empty() {
                        added.cautioned.push(Cautioned { file: name.clone(), cautions });
                    }
                    added.added.push(name);
                }
                Err(error) => added.failed.push(Failure {
                    file: path.display().to_string(),
                    reason: error.message,
                    hint: error.hint,
                    size_bytes: 0,
                    modified_ms: 0,
                    awaits: None,
                }),
            }
            bar.note(Progress::Advanced { size_bytes: size(&path) });
        }
        bar.finish();
        added.seconds = started.elapsed().as_secs_f64();
        added
    }

    fn upload(&self, collection: &str, name: &str, path: &Path, passwords: &[SecretString]) -> Result<Value> {
        let file =
            std::fs::File::open(path).map_err(|error| Error::io(format_args!("open {}", path.display()), &error))?;
        let mut request = self
            .agent
            .post(self.url("documents"))
            .query("collection", collection)
            .query("file", name)
            .header("content-type", "application/octet-stream");
        for password in passwords {
            request = request.header(PASSWORD, http_password(password)?);
        }
        let mut reply: Value = read(request.send(&file).map_err(|error| unreachable(&error))?)?;
        Ok(reply["document"].take())
    }

    pub(super) fn list(&self, name: Option<&str>, collection: Option<&str>) -> Result<Vec<Listed>> {
        let mut all = Vec::new();
        loop {
            let mut request =
                self.agent.get(self.url("documents")).query("limit", "1000").query("offset", all.len().to_string());
            if let Some(name) = name {
                request = request.query("q", name);
            }
            if let Some(collection) = collection {
                request = request.query("collection", collection);
            }
            let mut page: Value = read(request.call().map_err(|error| unreachable(&error))?)?;
            let listed: Vec<Listed> = serde_json::from_value(page["documents"].take()).map_err(Error::internal)?;
            if listed.is_empty() {
                return Ok(all);
            }
            all.extend(listed);
        }
    }

    pub(super) fn remove(&self, id: &str) -> Result<()> {
        let request = self.agent.delete(self.url(&format!("documents/{id}")));
        checked(request.call().map_err(|error| unreachable(&error))?).map(drop)
    }

    pub(super) fn label(&self, id: &str, labels: &[String]) -> Result<()> {
        let body = serde_json::json!({ "labels": labels });
        let request = self.agent.put(self.url(&format!("documents/{id}/labels"))).header(TOKEN, &self.contact.token);
        checked(request.send_json(body).map_err(|error| unreachable(&error))?).map(drop)
    }

    pub(super) fn export(&self, which: &Which) -> Result<Vec<u8>> {
        let mut response = match which {
            Which::Late(id) => {
                let request = self.agent.get(self.url(&format!("answers/{id}/bundle")));
                checked(request.call().map_err(|error| unreachable(&error))?)?
            }
            // What it quotes is enough; the passages may be long.
            Which::Kept(answer) => self.post("export", &Answer { passages: Vec::new(), ..Answer::clone(answer) })?,
        };
        response.body_mut().with_config().limit(MOST_BUNDLE_BYTES).read_to_vec().map_err(|_| broke_off())
    }

    pub(super) fn feedback(&self) -> Result<Vec<Judgement>> {
        let request = self.agent.get(self.url("feedback")).header(TOKEN, &self.contact.token);
        let mut reply: Value = read(request.call().map_err(|error| unreachable(&error))?)?;
        serde_json::from_value(reply["feedback"].take()).map_err(Error::internal)
    }

    pub(super) fn clear_feedback(&self) -> Result<usize> {
        let request = self.agent.delete(self.url("feedback")).header(TOKEN, &self.contact.token);
        let reply: Value = read(request.call().map_err(|error| unreachable(&error))?)?;
        Ok(reply["cleared"].as_u64().unwrap_or_default() as usize)
    }

    pub(super) fn export_feedback(&self, folder: PathBuf) -> Result<Export> {
        read(self.post("feedback/export", &ExportRequest { folder })?)
    }

    pub(super) fn status(&self) -> Result<Status> {
        read(self.agent.get(self.url("status")).call().map_err(|error| unreachable(&error))?)
    }

    fn post(&self, verb: &str, body: &impl Serialize) -> Result<Response<Body>> {
        let request = self.agent.post(self.url(verb)).header(TOKEN, &self.contact.token);
        checked(request.send_json(body).map_err(|error| unreachable(&error))?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.contact.url)
    }
}

/// A password as a header, which no log has.
fn http_password(password: &SecretString) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_bytes(password.expose_secret().as_bytes()).map_err(|_| {
        Error::new(
            Kind::BadInput,
            "bad_passwords",
            "a password has a control character in it",
            "Check the file of passwords",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn read<T: DeserializeOwned>(response: Response<Body>) -> Result<T> {
    let limit = 1 << 30;
    checked(response)?.body_mut().with_config().limit(limit).read_json().map_err(Error::internal)
}

/// The server's own error, when it sent one.
fn checked(mut response: Response<Body>) -> Result<Response<Body>> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let sent: Value = response.body_mut().read_json().unwrap_or_default();
    Err(told(&sent["error"], status.as_u16()))
}

fn told(error: &Value, status: u16) -> Error {
    let text = |field: &str| error[field].as_str().map(str::to_owned);
    let kind = match status {
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        429 => Kind::Busy,
        503 => Kind::Unavailable,
        _ => Kind::BadInput,
    };
    Error::new(
        kind,
        text("code").unwrap_or_else(|| "refused".to_owned()),
        text("message").unwrap_or_else(|| format!("the server answered with status {status}")),
        text("hint").unwrap_or_else(|| "Look into the server's log".to_owned()),
    )
}

/// Reads server-sent events to the end.
fn events(response: Response<Body>, mut each: impl FnMut(&str, Value) -> Result<()>) -> Result<()> {
    let mut name = String::new();
    for line in BufReader::new(response.into_body().into_reader()).lines() {
        let line = line.map_err(|_| broke_off())?;
        if let Some(event) = line.strip_prefix("event:") {
            event.trim().clone_into(&mut name);
        } else if let Some(data) = line.strip_prefix("data:") {
            let data: Value = serde_json::from_str(data.trim()).map_err(Error::internal)?;
            if name == "error" {
                return Err(told(&data, 500));
            }
            each(&name, data)?;
        }
    }
    Ok(())
}

fn unreachable(error: &ureq::Error) -> Error {
    Error::new(
        Kind::Unavailable,
        "server_unreachable",
        format!("the server that has the data folder does not answer: {error}"),
        "Wait a moment and try again; if it hangs, end it and start `premise serve` anew",
    )
}

fn broke_off() -> Error {
    Error::new(
        Kind::Unavailable,
        "broke_off",
        "the server's answer broke off",
        "Check that it still runs, and try again",
    )
}
