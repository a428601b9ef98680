//! Where a verb is done: by this process alone, or by the server that has the data folder.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use secrecy::SecretString;

use super::{blocking, client::Client, keep::Which, progress::Bar};
use crate::{
    app,
    config::Settings,
    datadir::{self, DataDir, Owner},
    db::Listing,
    egress,
    error::{Error, Kind, Result},
    jobs,
    library::{
        Added, Answer, AskEvent, EachEvent, Export, Found, Judgement, Library, Row, SearchRequest, Status, SyncReport,
    },
};

pub(super) enum Desk {
    /// The folder's lock is held for as long as the library is open.
    Alone {
        library: Arc<Library>,
        settings: Box<Settings>,
        _owned: DataDir,
    },
    Server(Arc<Client>),
}

/// A file as lists show it, from either side.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Listed {
    pub id: String,
    pub file: String,
    pub collection: String,
    pub title: Option<String>,
    pub pages: u32,
    pub problems: Vec<String>,
    #[serde(default)]
    pub cautions: Vec<premise_ingest::Caution>,
    #[serde(default)]
    pub labels: Vec<String>,
}

/// What files said that were asked one by one, and the error that ended it before all of them were.
pub(super) struct AskedEach {
    pub rows: Vec<Row>,
    pub error: Option<Error>,
}

impl Desk {
    /// Takes the data folder and mends what a crash may have left, or turns to the server that has it.
    pub(super) async fn open(data_dir: PathBuf, settings: Settings) -> Result<Self> {
        match datadir::open(&data_dir)? {
            Owner::Server(contact) => Ok(Self::Server(Arc::new(Client::new(contact)))),
            Owner::Us(owned) => {
                egress::shut(&settings.store);
                let for_library = settings.clone();
                let library = blocking(move || {
                    let library = app::open_library(&data_dir, &for_library)?;
                    let bar = Bar::new(false);
                    library.mend(crate::library::never(), &|progress| bar.note(progress))?;
                    bar.finish();
                    Ok(library)
                })
                .await?;
                Ok(Self::Alone { library: Arc::new(library), settings: Box::new(settings), _owned: owned })
            }
        }
    }

    pub(super) async fn add(
        &self,
        collection: String,
        files: Vec<PathBuf>,
        passwords: Vec<SecretString>,
        stop: Arc<AtomicBool>,
        quiet: bool,
    ) -> Result<Added> {
        let bar = Bar::new(quiet);
        match self {
            Self::Alone { library, .. } => {
                let library = library.clone();
                blocking(move || {
                    let added = library.add(&collection, &files, &passwords, &stop, &|progress| bar.note(progress))?;
                    bar.finish();
                    Ok(added)
                })
                .await
            }
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || Ok(client.add(&collection, &files, &passwords, &stop, &bar))).await
            }
        }
    }

    pub(super) async fn sync(
        &self,
        collection: &str,
        folder: &Path,
        stop: Arc<AtomicBool>,
        quiet: bool,
    ) -> Result<SyncReport> {
        let bar = Bar::new(quiet);
        let (collection, folder) = (collection.to_owned(), folder.to_owned());
        match self {
            Self::Alone { library, .. } => {
                let library = library.clone();
                blocking(move || {
                    let report = library.sync(&collection, &folder, &stop, &|progress| bar.note(progress))?;
                    bar.finish();
                    Ok(report)
                })
                .await
            }
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || client.sync(collection, folder, &stop, &bar)).await
            }
        }
    }

    pub(super) async fn search(&self, request: SearchRequest) -> Result<Found> {
        match self {
            Self::Alone { library, .. } => library.search(&request).await,
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || client.search(&request)).await
            }
        }
    }

    pub(super) async fn ask(&self, request: SearchRequest, quiet: bool) -> Result<Answer> {
        let bar = Bar::answering(quiet);
        match self {
            Self::Alone { library, .. } => {
                let mut events = library.ask(request).await?;
                while let Some(event) = events.recv().await {
                    match event {
                        AskEvent::Passages(found) => bar.found(found.passages.len()),
                        AskEvent::Evidence(quotes) => bar.quotes(&quotes),
                        AskEvent::Queued(ahead) => bar.queued(ahead),
                        AskEvent::Piece(piece) => bar.piece(&piece),
                        AskEvent::Done(answer) => {
                            bar.finish();
                            return Ok(*answer);
                        }
                        AskEvent::Failed(error) => return Err(error),
                    }
                }
                Err(Error::internal("the answer broke off"))
            }
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || {
                    let answer = client.ask(&request, &bar)?;
                    bar.finish();
                    Ok(answer)
                })
                .await
            }
        }
    }

    pub(super) async fn ask_each(&self, request: SearchRequest, quiet: bool) -> Result<AskedEach> {
        let bar = Bar::each(quiet);
        match self {
            Self::Alone { library, .. } => {
                let mut events = library.ask_each(request).await?;
                let mut rows = Vec::new();
                let error = loop {
                    match events.recv().await {
                        Some(EachEvent::Planned(documents)) => bar.planned(documents),
                        Some(EachEvent::Row(row)) => {
                            bar.answered(&row.file);
                            rows.push(*row);
                        }
                        Some(EachEvent::Done { .. }) => break None,
                        Some(EachEvent::Failed(error)) => break Some(error),
                        None => break Some(Error::internal("the answer broke off")),
                    }
                };
                bar.finish();
                Ok(AskedEach { rows, error })
            }
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || {
                    let asked = client.ask_each(&request, &bar)?;
                    bar.finish();
                    Ok(asked)
                })
                .await
            }
        }
    }

    pub(super) async fn list(&self, name: Option<String>, collection: Option<String>) -> Result<Vec<Listed>> {
        match self {
            Self::Alone { library, .. } => {
                library
                    .blocking(move |library| {
                        let collection = collection.map(|name| library.collection(&name)).transpose()?;
                        let listing = Listing { collection, name_contains: name, offset: 0, limit: u32::MAX.into() };
                        let (documents, _) = library.db().documents(&listing)?;
                        Ok(documents
                            .into_iter()
                            .map(|row| Listed {
                                id: row.id.to_string(),
                                file: row.file,
                                collection: row.collection,
                                title: row.title,
                                pages: row.pages,
                                problems: row.problems,
                                cautions: row.cautions,
                                labels: row.labels,
                            })
                            .collect())
                    })
                    .await
            }
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || client.list(name.as_deref(), collection.as_deref())).await
            }
        }
    }

    /// The one file of that name.
    async fn one_file(&self, file: &str) -> Result<Listed> {
        let matching: Vec<_> = self
            .list(Some(file.to_owned()), None)
            .await?
            .into_iter()
            .filter(|listed| listed.file == file || listed.file.ends_with(&format!("/{file}")))
            .collect();
        match matching.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(Error::new(
                Kind::NotFound,
                "unknown_document",
                format!("there is no file named {file}"),
                "`premise list` shows the names",
            )),
            several => {
                let names: Vec<_> =
                    several.iter().map(|listed| format!("{} (in {})", listed.file, listed.collection)).collect();
                Err(Error::new(
                    Kind::BadInput,
                    "ambiguous_name",
                    format!("{file} may be any of: {}", names.join(", ")),
                    "Use the whole name; files of the same name in several collections can be deleted on the page",
                ))
            }
        }
    }

    /// Puts labels on the one file of that name, in place of those that it had.
    pub(super) async fn label(&self, file: &str, labels: Vec<String>) -> Result<Listed> {
        let mut listed = self.one_file(file).await?;
        let (id, put) = (listed.id.clone(), labels.clone());
        match self {
            Self::Alone { library, .. } => {
                let id = id.parse().map_err(Error::internal)?;
                library.blocking(move |library| library.set_labels(id, &put)).await?;
            }
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || client.label(&id, &put)).await?;
            }
        }
        listed.labels = labels;
        Ok(listed)
    }

    /// Takes out the one file of that name.
    pub(super) async fn remove(&self, file: &str) -> Result<Listed> {
        let listed = self.one_file(file).await?;
        let id = listed.id.clone();
        match self {
            Self::Alone { library, .. } => {
                let id = id.parse().map_err(Error::internal)?;
                library.blocking(move |library| library.remove(id)).await?;
            }
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || client.remove(&id)).await?;
            }
        }
        Ok(listed)
    }

    /// The bundle of an answer.
    pub(super) async fn export(&self, which: Which) -> Result<Vec<u8>> {
        match self {
            Self::Alone { library, .. } => match which {
                Which::Kept(answer) => library.blocking(move |library| library.export(&answer)).await,
                Which::Late(_) => Err(Error::new(
                    Kind::NotFound,
                    "unknown_answer",
                    "no server is running that could have given this answer",
                    "Give the file that `premise ask --json` wrote",
                )),
            },
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || client.export(&which)).await
            }
        }
    }

    pub(super) async fn feedback(&self) -> Result<Vec<Judgement>> {
        match self {
            Self::Alone { library, .. } => library.blocking(Library::feedback).await,
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || client.feedback()).await
            }
        }
    }

    /// Drops all feedback. How much there was.
    pub(super) async fn clear_feedback(&self) -> Result<usize> {
        match self {
            Self::Alone { library, .. } => library.blocking(|library| library.drop_feedback(None)).await,
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || client.clear_feedback()).await
            }
        }
    }

    pub(super) async fn export_feedback(&self, folder: &Path) -> Result<Export> {
        let folder = folder.to_owned();
        match self {
            Self::Alone { library, .. } => library.blocking(move |library| library.export_feedback(&folder)).await,
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || client.export_feedback(folder)).await
            }
        }
    }

    pub(super) async fn status(&self) -> Result<Status> {
        match self {
            Self::Alone { library, settings, .. } => {
                let mut status = library.blocking(Library::status).await?;
                status.next_sync = jobs::next_sync(&settings.sync, chrono::Local::now());
                Ok(status)
            }
            Self::Server(client) => {
                let client = client.clone();
                blocking(move || client.status()).await
            }
        }
    }
}
