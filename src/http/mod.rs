//! The query service: axum over the library's verbs, with the search page.

mod answers;
mod assets;
mod documents;
mod guard;
mod questions;
mod reply;
mod stream;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::State,
    middleware,
    routing::{get, post},
};
use tokio::net::TcpListener;
use tracing::info;

use self::reply::Reply;
pub(crate) use self::{
    answers::{ExportRequest, file_name},
    documents::PASSWORD,
    guard::TOKEN,
    stream::{SyncEvent, SyncRequest},
};
use crate::{
    config::Settings,
    datadir::{Contact, DataDir},
    error::{Error, Kind, Result},
    jobs,
    library::{Library, Status},
};

/// What the handlers share.
#[derive(Clone)]
struct App {
    library: Arc<Library>,
    settings: Arc<Settings>,
    /// Hosts under which browsers may come, with the port.
    hosts: Arc<Vec<String>>,
    /// What only accounts know that can read the data folder.
    token: Arc<str>,
    stop: Arc<AtomicBool>,
}

/// A service that listens and is not yet running.
pub struct Service {
    listener: TcpListener,
    app: App,
    data_dir: DataDir,
    addr: SocketAddr,
}

/// Binds `addr`; port 0 takes any free one.
pub async fn bind(addr: &str) -> Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|error| cannot_listen(addr, &error))
}

/// Leaves word of the address in the data folder. Nobody is answered before [`Service::run`].
pub fn prepare(listener: TcpListener, library: Arc<Library>, settings: Settings, data_dir: DataDir) -> Result<Service> {
    let addr = listener.local_addr().map_err(|error| Error::io("read the address that is listened on", &error))?;
    let token: Arc<str> = uuid::Uuid::new_v4().simple().to_string().into();
    // A server that listens on all addresses is reached over the loopback one by this machine's own commands.
    let mut own = addr;
    if addr.ip().is_unspecified() {
        own.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    data_dir.leave_contact(&Contact { url: format!("http://{own}"), token: token.to_string() })?;
    let mut hosts = vec![addr.to_string(), own.to_string(), format!("localhost:{}", addr.port())];
    for host in &settings.serve.hosts {
        hosts.push(host.clone());
        hosts.push(format!("{host}:{}", addr.port()));
    }
    let app = App {
        library,
        settings: Arc::new(settings),
        hosts: Arc::new(hosts),
        token,
        stop: Arc::new(AtomicBool::new(false)),
    };
    Ok(Service { listener, app, data_dir, addr })
}

impl Service {
    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` is done, then lets answers and reads that are under way end.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let Self { listener, app, data_dir, addr } = self;
        info!(%addr, "serving");
        let nightly = tokio::spawn(jobs::run(app.library.clone(), app.settings.sync.clone(), app.stop.clone()));
        let (stop, library) = (app.stop.clone(), app.library.clone());
        let shutdown = async move {
            shutdown.await;
            info!("shutting down");
            stop.store(true, Ordering::Relaxed);
        };
        let served = axum::serve(listener, router(app)).with_graceful_shutdown(shutdown).await;
        nightly.abort();
        // A sync that was under way ends with what it has; only then may another process have the folder.
        let ended = tokio::task::spawn_blocking(move || library.wait_for_sync()).await;
        ended.map_err(Error::internal)?;
        drop(data_dir);
        served.map_err(|error| Error::io("serve", &error))
    }
}

fn router(app: App) -> Router {
    let api = Router::new()
        .route("/search", post(questions::search))
        .route("/ask", post(questions::ask))
        .route("/answers/{id}/bundle", get(answers::bundle))
        .route("/export", post(answers::export))
        .route("/feedback", get(answers::feedback).post(answers::judge).delete(answers::clear_feedback))
        .route("/feedback/{id}", axum::routing::delete(answers::take_back))
        .route("/feedback/export", post(answers::export_feedback))
        .route("/documents", get(documents::list).post(documents::upload))
        .route("/documents/{id}", axum::routing::delete(documents::remove))
        .route("/documents/{id}/labels", axum::routing::put(documents::label))
        .route("/documents/{id}/file", get(documents::original))
        .route("/documents/{id}/pages/{number}", get(documents::page))
        .route("/collections", get(documents::collections))
        .route("/labels", get(documents::labels))
        .route("/sync", post(stream::sync))
        .route("/status", get(status))
        .route("/health", get(health));
    Router::new()
        .nest("/api/v1", api)
        .route("/", get(assets::index))
        .route("/assets/{name}", get(assets::asset))
        .fallback(no_such_address)
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .with_state(app)
}

async fn status(State(app): State<App>) -> Reply<Json<Status>> {
    let mut status = app.library.blocking(Library::status).await?;
    status.next_sync = jobs::next_sync(&app.settings.sync, chrono::Local::now());
    Ok(Json(status))
}

/// Says that the service takes requests; the ledger is asked, so that a broken disk is noticed.
async fn health(State(app): State<App>) -> Reply<Json<serde_json::Value>> {
    let totals = app.library.blocking(|library| Ok(library.db().totals()?)).await?;
    Ok(Json(serde_json::json!({ "status": "ok", "documents": totals.documents })))
}

async fn no_such_address() -> reply::Problem {
    Error::new(
        Kind::NotFound,
        "no_such_address",
        "there is nothing at this address",
        "The search page is at /, the service at /api/v1",
    )
    .into()
}

fn cannot_listen(addr: &str, error: &std::io::Error) -> Error {
    use std::io::ErrorKind;
    let hint = match error.kind() {
        ErrorKind::AddrInUse => {
            "Another program has this port: stop it, or choose another with --addr 127.0.0.1:PORT (port 0 takes any free one)"
        }
        ErrorKind::PermissionDenied => "Ports below 1024 need special rights: choose a higher one with --addr",
        _ => "Give an address of this machine and a port, such as --addr 127.0.0.1:7878",
    };
    Error::new(Kind::Conflict, "cannot_listen", format!("cannot listen on {addr}: {error}"), hint)
}
