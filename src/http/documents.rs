//! Documents over HTTP: list, upload, delete, a page's text, the original.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_stream::StreamExt;
use tokio_util::io::ReaderStream;

use super::{
    App,
    reply::{Reply, read_to_end},
};
use crate::{
    config,
    db::{DocumentRow, Listing},
    error::{Error, Kind, Result},
    library::{Library, PageText},
    store::DocumentId,
};

#[derive(Deserialize)]
pub(super) struct ListQuery {
    collection: Option<String>,
    q: Option<String>,
    #[serde(default)]
    offset: u64,
    limit: Option<u64>,
}

/// Most documents on a page of the list.
const MOST_LISTED: u64 = 1_000;

pub(super) async fn list(State(app): State<App>, Query(query): Query<ListQuery>) -> Reply<Json<Value>> {
    let found = app
        .library
        .blocking(move |library| {
            let collection = query.collection.as_deref().filter(|name| !name.is_empty());
            let collection = collection.map(|name| library.collection(name)).transpose()?;
            let listing = Listing {
                collection,
                name_contains: query.q.filter(|part| !part.is_empty()),
                offset: query.offset,
                limit: query.limit.unwrap_or(100).min(MOST_LISTED),
            };
            let (documents, total) = library.db().documents(&listing)?;
            let failed = library.db().failures(collection)?;
            let documents: Vec<_> = documents.iter().map(as_json).collect();
            Ok(json!({ "documents": documents, "total": total, "failed": failed }))
        })
        .await?;
    Ok(Json(found))
}

fn as_json(document: &DocumentRow) -> Value {
    let mut value = serde_json::to_value(document).unwrap_or_default();
    value["status"] = "ready".into();
    value
}

#[derive(Deserialize)]
pub(super) struct UploadQuery {
    file: String,
    collection: Option<String>,
}

/// Takes the body to a temporary file, then reads it; answers when the document can be searched: 201, or 200 when the
/// same content was there already.
pub(super) async fn upload(
    State(app): State<App>,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Reply<(StatusCode, Json<Value>)> {
    let passwords = passwords(&headers)?;
    let asked_at = chrono::Utc::now();
    let received = receive(&app, body).await?;
    let collection = query.collection.filter(|name| !name.is_empty()).unwrap_or_else(config::default_collection);
    let upload = move |library: &Library| library.upload(&collection, &query.file, received.path(), &passwords);
    let document = app.library.blocking(upload).await?;
    let status = if document.added_at < asked_at { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(json!({ "document": as_json(&document) }))))
}

/// Header with a password for the file that is sent; it may come several times. Not in the address, which logs have.
pub(crate) const PASSWORD: &str = "x-premise-password";

fn passwords(headers: &HeaderMap) -> Result<Vec<SecretString>> {
    let given = headers.get_all(PASSWORD).iter().map(|value| std::str::from_utf8(value.as_bytes()));
    given
        .map(|value| value.map(SecretString::from))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Error::new(Kind::BadInput, "bad_passwords", "a password is not in UTF-8", "Send it in UTF-8"))
}

async fn receive(app: &App, body: Body) -> Result<tempfile::NamedTempFile> {
    let failed = |error: &std::io::Error| Error::io("take the upload", error);
    let most = app.settings.serve.max_upload_mb << 20;
    let temporary = app.library.temporary_file()?;
    let mut file = tokio::fs::File::from_std(temporary.reopen().map_err(|error| Error::io("take the upload", &error))?);
    let mut stream = body.into_data_stream();
    let mut size = 0;
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|_| {
            Error::new(Kind::BadInput, "upload_broke_off", "the upload broke off", "Send the file again")
        })?;
        size += bytes.len() as u64;
        if size > most {
            read_to_end(&mut stream).await;
            return Err(Error::new(
                Kind::TooLarge,
                "file_too_large",
                format!("the file has more than {} MB", most >> 20),
                "Split it into parts, or raise [serve] max_upload_mb in the settings",
            ));
        }
        file.write_all(&bytes).await.map_err(|error| failed(&error))?;
    }
    file.flush().await.map_err(|error| failed(&error))?;
    Ok(temporary)
}

pub(super) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Reply<StatusCode> {
    let id = parsed(&id)?;
    app.library.blocking(move |library| library.remove(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
pub(super) struct Labels {
    labels: Vec<String>,
}

/// Puts labels on a document's files in place of those that they had.
pub(super) async fn label(
    State(app): State<App>,
    Path(id): Path<String>,
    super::reply::Body(body): super::reply::Body<Labels>,
) -> Reply<Json<Value>> {
    let id = parsed(&id)?;
    let document = app.library.blocking(move |library| library.set_labels(id, &body.labels)).await?;
    Ok(Json(json!({ "document": as_json(&document) })))
}

/// What searches can be narrowed by: all labels and media types that files have.
pub(super) async fn labels(State(app): State<App>) -> Reply<Json<Value>> {
    let (labels, media_types) =
        app.library.blocking(|library| Ok((library.db().labels()?, library.db().media_types()?))).await?;
    Ok(Json(json!({ "labels": labels, "media_types": media_types })))
}

pub(super) async fn page(State(app): State<App>, Path((id, number)): Path<(String, u32)>) -> Reply<Json<PageText>> {
    let id = parsed(&id)?;
    Ok(Json(app.library.blocking(move |library| library.page(id, number)).await?))
}

pub(super) async fn original(State(app): State<App>, Path(id): Path<String>) -> Reply<Response> {
    let id = parsed(&id)?;
    let (path, document) = app.library.blocking(move |library| library.original(id)).await?;
    let opened = |error: &std::io::Error| Error::io(format_args!("open {}", document.file), error);
    let file = tokio::fs::File::open(&path).await.map_err(|error| opened(&error))?;
    let size = file.metadata().await.map_err(|error| opened(&error))?.len();
    // Only a PDF goes to the browser's viewer; what else a stranger wrote is shown as plain text or saved.
    let (kind, shown) = match document.media_type.as_str() {
        "application/pdf" => ("application/pdf", "inline"),
        "text/plain" | "text/markdown" => ("text/plain; charset=utf-8", "inline"),
        _ => ("application/octet-stream", "attachment"),
    };
    let name = document.file.rsplit('/').next().unwrap_or_default();
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\".contains(c) { c } else { '_' }).collect();
    let mut response = Body::from_stream(ReaderStream::with_capacity(file, 64 << 10)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, size.into());
    // The browser's own PDF viewer needs styles and scripts of its own, which a sandbox would take from it.
    if kind != "application/pdf" {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    }
    if let Ok(value) = HeaderValue::from_str(&format!("{shown}; filename=\"{plain}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

pub(super) async fn collections(State(app): State<App>) -> Reply<Json<Value>> {
    let collections = app.library.blocking(|library| Ok(library.db().collections()?)).await?;
    Ok(Json(json!({ "collections": collections })))
}

fn parsed(id: &str) -> Result<DocumentId> {
    id.parse().map_err(|_| {
        Error::new(
            Kind::NotFound,
            "unknown_document",
            "there is no such document",
            "The list of documents at /api/v1/documents has the ids",
        )
    })
}
