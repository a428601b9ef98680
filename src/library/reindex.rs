//! Which index is in use and which embedder it belongs to, and the turn from one to another: a new one is built beside
//! the old, then one transaction of the ledger turns to it. The old one stays until it is dropped or taken back.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::info;

use super::{Library, OnProgress, Parts, Progress, RemoveIndex, documents::stopped};
use crate::{
    config,
    db::Db,
    embed::EmbedderIdentity,
    error::{Error, Kind, Result},
    models::{self, EmbedderPaths, ModelError, Precision, local},
};

/// The index in use,
const LIVE: &str = "live_index";
/// the embedder that it belongs to,
const LIVE_EMBEDDER: &str = "live_embedder";
/// and the embedder that the settings named when it was last opened.
const SETTINGS: &str = "settings_embedder";
/// The index that was in use before, as [`Former`].
const FORMER: &str = "former_index";
/// An index that is neither: a rebuild has not finished it, or it is to be removed.
const SPARE: &str = "spare_index";

/// An embedder as people name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderChoice {
    /// A name of the catalogue, or the path of a folder.
    pub embedder: String,
    /// What it computes with; a folder has one graph, so there it means nothing.
    pub precision: Precision,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Former {
    index: String,
    embedder: EmbedderChoice,
}

impl EmbedderChoice {
    /// The one that the settings name.
    pub fn of(settings: &config::Models) -> Self {
        Self { embedder: settings.embedder.clone(), precision: settings.precision }
    }

    /// Another embedder or precision. An embedder that has not the precision in use comes in the first that it has.
    pub fn changed(&self, embedder: Option<&str>, precision: Option<Precision>) -> Result<Self> {
        let Some(embedder) = embedder else {
            return Ok(Self { precision: precision.unwrap_or(self.precision), ..self.clone() });
        };
        if local::is_path(embedder) {
            let folder = std::path::absolute(embedder)
                .map_err(|error| Error::io(format_args!("use the folder {embedder}"), &error))?;
            return Ok(Self { embedder: folder.display().to_string(), precision: precision.unwrap_or_default() });
        }
        let found = models::find_embedder(embedder, precision.unwrap_or(self.precision));
        let precision = match (found, precision) {
            (Ok(_), _) => precision.unwrap_or(self.precision),
            (Err(ModelError::NoPrecision { has, .. }), None) => has.first().copied().unwrap_or_default(),
            (Err(error), _) => return Err(error.into()),
        };
        Ok(Self { embedder: embedder.to_owned(), precision })
    }

    /// Its files.
    pub fn locate(&self, models_dir: &Path) -> Result<EmbedderPaths> {
        if local::is_path(&self.embedder) {
            return Ok(local::embedder(Path::new(&self.embedder))?);
        }
        let entry = models::find_embedder(&self.embedder, self.precision)?;
        match models::locate(models_dir, entry) {
            Err(error @ ModelError::NotInstalled { .. }) => {
                let hint = format!("Run `premise setup --model {} --precision {}`", self.embedder, self.precision);
                Err(Error { hint, ..error.into() })
            }
            installed => Ok(installed?.embedder(self.precision)?),
        }
    }

    /// The files for questions: the int8 graph where one is made from the same weights, several times faster and as
    /// good against fp32 passages (docs/embedders.md), else those of the passages.
    pub fn locate_for_questions(&self, models_dir: &Path, passages: &EmbedderPaths) -> Result<EmbedderPaths> {
        if local::is_path(&self.embedder) || passages.precision == Precision::Int8 {
            return Ok(passages.clone());
        }
        let entry = models::find_embedder(&self.embedder, self.precision)?;
        if entry.built_graphs().all(|graph| graph.precision != Precision::Int8) {
            return Ok(passages.clone());
        }
        Ok(models::locate(models_dir, entry)?.embedder(Precision::Int8)?)
    }
}

/// The embedder to open: that of the index in use for as long as the settings say what they said before, else that of
/// the settings.
pub fn embedder_in_use(db: &Db, settings: &EmbedderChoice) -> Result<EmbedderChoice> {
    if mark::<EmbedderChoice>(db, SETTINGS)?.as_ref() == Some(settings)
        && let Some(live) = mark(db, LIVE_EMBEDDER)?
    {
        return Ok(live);
    }
    Ok(settings.clone())
}

/// The embedder of the index that was in use before.
pub fn embedder_before(db: &Db) -> Result<EmbedderChoice> {
    Ok(mark::<Former>(db, FORMER)?.ok_or_else(no_former)?.embedder)
}

/// Removes the index that was in use before and one that was left unfinished. How many.
pub fn drop_old(db: &Db, remove: &RemoveIndex) -> Result<usize> {
    let former = mark::<Former>(db, FORMER)?.map(|former| former.index);
    let old: Vec<_> = former.into_iter().chain(db.meta(SPARE)?).collect();
    for index in &old {
        remove(index)?;
        info!(index, "removed an old index");
    }
    db.set_metas(&[(FORMER, None), (SPARE, None)])?;
    Ok(old.len())
}

/// The index to open, which must be of the embedder; a ledger without documents takes any.
pub(super) fn index_in_use(parts: &Parts) -> Result<String> {
    let db = &parts.db;
    let name = match db.meta(LIVE)? {
        Some(name) if index_belongs_to(&name, &parts.embedder) => name,
        Some(_) if db.totals()?.documents > 0 => {
            return Err(Error::new(
                Kind::Conflict,
                "other_embedder",
                format!("the index was built by another embedder than {}", parts.embedder.name),
                "Set the embedder back, or run `premise reindex` to build the index anew with this one",
            ));
        }
        _ => index_name(&parts.embedder, 1),
    };
    let marks = [(LIVE, name.clone()), (LIVE_EMBEDDER, text(&parts.choice)?), (SETTINGS, text(&parts.settings)?)];
    let marks: Vec<_> = marks.iter().map(|(key, value)| (*key, Some(value.as_str()))).collect();
    let mut as_kept = true;
    for (key, value) in &marks {
        as_kept &= db.meta(key)?.as_deref() == *value;
    }
    if !as_kept {
        db.set_metas(&marks)?;
    }
    Ok(name)
}

impl Library {
    /// Opens the library with a new index, or with the one that an earlier rebuild has begun and not finished.
    pub fn open_for_reindex(parts: Parts) -> Result<Self> {
        let name = match parts.db.meta(SPARE)? {
            Some(spare) if index_belongs_to(&spare, &parts.embedder) => {
                // A crash may have left it in a state that cannot be opened, and then nothing in it is missed.
                if (parts.open_index)(&spare).is_err() {
                    (parts.remove_index)(&spare)?;
                }
                spare
            }
            spare => {
                if let Some(spare) = spare {
                    (parts.remove_index)(&spare)?;
                }
                let former = mark::<Former>(&parts.db, FORMER)?.map(|former| former.index);
                let taken = parts.db.meta(LIVE)?.into_iter().chain(former);
                let last = taken.filter_map(|name| name.rsplit_once('-')?.1.parse().ok()).max().unwrap_or(0);
                index_name(&parts.embedder, last + 1)
            }
        };
        parts.db.set_meta(SPARE, &name)?;
        Self::assemble(parts, name)
    }

    /// Opens the library with the index that was in use before the last turn.
    pub fn open_as_before(parts: Parts) -> Result<Self> {
        let former = mark::<Former>(&parts.db, FORMER)?.ok_or_else(no_former)?;
        if !index_belongs_to(&former.index, &parts.embedder) {
            return Err(Error::new(
                Kind::Conflict,
                "other_embedder",
                format!("{} is not any more what it was when the old index was built", former.embedder.embedder),
                "Put its files back, or run `premise reindex` with the embedder that you want",
            ));
        }
        Self::assemble(parts, former.index)
    }

    /// Fills the index that this library was opened with from the ledger and turns to it once it is complete; a stop or
    /// a crash before that leaves the old one in use, and the next rebuild goes on from there. How many documents it has.
    pub fn reindex(&self, stop: &AtomicBool, on_progress: OnProgress) -> Result<usize> {
        let filled = self.fill(stop, on_progress)?;
        if stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        if filled.rebuilt > 0 {
            on_progress(Progress::Maintaining);
            self.wait(self.store().maintain())?;
        }
        self.wait(self.store().flush())?;
        self.turn()?;
        self.mend(stop, on_progress)?;
        Ok(self.db.expected_chunks()?.len())
    }

    /// The embedder that this library was opened with.
    pub fn embedder(&self) -> &EmbedderChoice {
        &self.choice
    }

    /// From now on this library's index is the one in use, and the one that was is the former.
    fn turn(&self) -> Result<()> {
        let former = mark::<Former>(&self.db, FORMER)?.map(|former| former.index);
        let live = self.db.meta(LIVE)?.filter(|live| *live != self.index_name);
        let live_embedder = mark(&self.db, LIVE_EMBEDDER)?.unwrap_or_else(|| self.settings.clone());
        let next_former = live.map(|index| text(&Former { index, embedder: live_embedder })).transpose()?;
        // Two are kept; a third, unless it is what this turn went back to, goes.
        let spare = former.filter(|former| *former != self.index_name);
        self.db.set_metas(&[
            (LIVE, Some(&self.index_name)),
            (LIVE_EMBEDDER, Some(&text(&self.choice)?)),
            (SETTINGS, Some(&text(&self.settings)?)),
            (FORMER, next_former.as_deref()),
            (SPARE, spare.as_deref()),
        ])?;
        info!(index = %self.index_name, embedder = %self.embedder.name, "turned to an index");
        if let Some(spare) = spare {
            (self.remove_index)(&spare)?;
            self.db.set_metas(&[(SPARE, None)])?;
        }
        Ok(())
    }
}

fn index_name(embedder: &EmbedderIdentity, number: u32) -> String {
    format!("{}-{number}", &embedder.sha256[..12.min(embedder.sha256.len())])
}

fn index_belongs_to(name: &str, embedder: &EmbedderIdentity) -> bool {
    name.rsplit_once('-').is_some_and(|(identity, _)| embedder.sha256.starts_with(identity))
}

fn no_former() -> Error {
    Error::new(
        Kind::NotFound,
        "no_former_index",
        "there is no earlier index to go back to",
        "Run `premise reindex --embedder NAME` with the embedder that you want",
    )
}

/// What the ledger keeps under a key.
fn mark<T: DeserializeOwned>(db: &Db, key: &str) -> Result<Option<T>> {
    let text = db.meta(key)?;
    text.map(|text| serde_json::from_str(&text).map_err(Error::internal)).transpose()
}

fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(embedder: &str, precision: Precision) -> EmbedderChoice {
        EmbedderChoice { embedder: embedder.to_owned(), precision }
    }

    #[test]
    fn the_choice_of_a_reindex_holds_until_the_settings_change() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&folder.path().join("ledger.sqlite")).unwrap();
        let (minilm, bge) = (choice("all-minilm-l6-v2", Precision::Fp32), choice("bge-m3", Precision::Fp32));
        assert_eq!(embedder_in_use(&db, &minilm).unwrap(), minilm);
        let (settings, live) = (text(&minilm).unwrap(), text(&bge).unwrap());
        db.set_metas(&[(SETTINGS, Some(&settings)), (LIVE_EMBEDDER, Some(&live))]).unwrap();
        assert_eq!(embedder_in_use(&db, &minilm).unwrap(), bge);
        let int8 = choice("all-minilm-l6-v2", Precision::Int8);
        assert_eq!(embedder_in_use(&db, &int8).unwrap(), int8);
        assert_eq!(embedder_in_use(&db, &bge).unwrap(), bge);
    }

    #[test]
    fn another_embedder_comes_in_the_precision_in_use_or_the_first_that_it_has() {
        let int8 = choice("all-minilm-l6-v2", Precision::Int8);
        let check = |embedder, precision, expected| assert_eq!(int8.changed(embedder, precision).unwrap(), expected);
        check(None, None, int8.clone());
        check(None, Some(Precision::Fp32), choice("all-minilm-l6-v2", Precision::Fp32));
        check(Some("gte-base-en-v1.5"), None, choice("gte-base-en-v1.5", Precision::Int8));
        check(Some("bge-m3"), None, choice("bge-m3", Precision::Fp32));
        check(Some("bge-base-en-v1.5"), Some(Precision::Fp16), choice("bge-base-en-v1.5", Precision::Fp16));
        check(Some("/srv/mine"), None, choice("/srv/mine", Precision::Fp32));
        assert_eq!(int8.changed(Some("bge-m3"), Some(Precision::Int4)).unwrap_err().code, "model_missing");
        assert_eq!(int8.changed(Some("smollm2-135m"), None).unwrap_err().code, "model_missing");
    }
}
