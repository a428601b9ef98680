//! The ledger and the index compared and brought together: after a crash, after a lost index, for a new one.

use std::{collections::HashMap, sync::atomic::AtomicBool};

use serde::Serialize;
use tracing::info;

use super::{Library, OnProgress};
use crate::{
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
        let mended = self.fill(stop, on_progress)?;
        if mended != Mended::default() {
            info!(mended.rebuilt, mended.removed, "index mended");
        }
        self.identities()?;
        Ok(mended)
    }

    /// Brings the index to what the ledger holds.
    pub(super) fn fill(&self, stop: &AtomicBool, on_progress: OnProgress) -> Result<Mended> {
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
        Ok(Mended { rebuilt: missing.len(), removed: orphans })
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
