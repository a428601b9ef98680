//! The ledger and the index compared and brought together: after a crash, after a lost index, for a new embedder.

use std::{
    collections::HashMap,
    sync::{PoisonError, atomic::AtomicBool},
};

use serde::Serialize;
use tracing::info;

use super::{LIVE_INDEX, Library, OnProgress, Progress, index_belongs_to, index_name};
use crate::{
    embed::EmbedderIdentity,
    error::Result,
    store::{CollectionId, DocumentId, Filter, Scope, Store},
};

/// What was put right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// Documents whose points were missing and have been embedded again.
    pub rebuilt: usize,
    /// Documents that the index still had and the ledger did not.
    pub removed: usize,
}

impl Library {
    /// Compares what the ledger holds with what the index holds and mends the index. Quick when they agree.
    pub fn mend(&self, stop: &AtomicBool, on_progress: OnProgress) -> Result<Mended> {
        self.finish_removals()?;
        let store = self.store();
        let expected = self.db.expected_chunks()?;
        let found = self.points_by_document(store.as_ref())?;
        let mut orphans = 0;
        for (document, (collection, _)) in &found {
            if !expected.contains_key(document) {
                self.wait(store.delete(*collection, Filter::documents([*document])))?;
                orphans += 1;
            }
        }
        let mut missing: Vec<_> = expected
            .iter()
            .filter(|(document, (_, chunks))| found.get(document).map_or(0, |(_, points)| *points) != *chunks)
            .map(|(document, (collection, _))| (*collection, *document))
            .collect();
        missing.sort();
        if orphans > 0 {
            self.wait(store.flush())?;
        }
        self.embed_again(&missing, store.as_ref(), stop, on_progress)?;
        let mended = Mended { rebuilt: missing.len(), removed: orphans };
        if mended != Mended::default() {
            info!(mended.rebuilt, mended.removed, "index mended");
        }
        self.identities()?;
        Ok(mended)
    }

    /// Builds the whole index anew beside the live one and turns to it once it is complete; a stop or a crash
    /// before that leaves the old one in use. How many documents it has.
    pub fn reindex(&self, stop: &AtomicBool, on_progress: OnProgress) -> Result<usize> {
        let live = self.db.meta(LIVE_INDEX)?.unwrap_or_default();
        let name = next_index_name(&self.embedder, &live);
        // A library that was opened for another embedder has its new index open already, and no old one.
        let replaces = index_belongs_to(&live, &self.embedder);
        let fresh = if replaces { (self.open_index)(&name)? } else { self.store() };
        for collection in self.wait(fresh.maintenance_collections())? {
            self.wait(fresh.delete(collection, Filter::default()))?;
        }
        let mut documents: Vec<_> =
            self.db.expected_chunks()?.into_iter().map(|(document, (collection, _))| (collection, document)).collect();
        documents.sort();
        self.embed_again(&documents, fresh.as_ref(), stop, on_progress)?;
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(super::documents::stopped());
        }
        on_progress(Progress::Maintaining);
        self.wait(fresh.maintain())?;
        self.db.set_meta(LIVE_INDEX, &name)?;
        if replaces {
            let old = std::mem::replace(&mut *self.index.write().unwrap_or_else(PoisonError::into_inner), fresh);
            for collection in self.wait(old.maintenance_collections())? {
                self.wait(old.delete(collection, Filter::default()))?;
            }
            self.wait(old.flush())?;
        }
        // Whatever came in while the new index was being built.
        self.mend(stop, on_progress)?;
        Ok(documents.len())
    }

    fn points_by_document(&self, store: &dyn Store) -> Result<HashMap<DocumentId, (CollectionId, u64)>> {
        let mut all = HashMap::new();
        for collection in self.wait(store.maintenance_collections())? {
            let Some(scope) = Scope::new([collection]) else { continue };
            let counts = self.wait(store.count_by_document(&scope))?;
            all.extend(counts.into_iter().map(|(document, points)| (document, (collection, points))));
        }
        Ok(all)
    }
}

pub(super) fn next_index_name(embedder: &EmbedderIdentity, live: &str) -> String {
    let number = live.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(0);
    index_name(embedder, number + 1)
}
