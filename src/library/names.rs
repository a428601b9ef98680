//! The identities of documents kept in memory, brought up to date when the ledger has changed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Library,
    naming::{Identities, Identity, Named, named},
};
use crate::{
    db::NameRow,
    error::Result,
    store::{CollectionId, DocumentId, Scope},
};

/// The identities as of a change mark of the ledger.
#[derive(Default)]
pub(super) struct Names(Mutex<Option<(i64, Arc<Identities>)>>);

/// So many documents of each collection are sampled for how its running text reads,
const SAMPLED_DOCUMENTS: usize = 250;
/// with so many chunks of each.
const SAMPLED_CHUNKS: u32 = 8;

impl Library {
    /// What a question names among the documents of the scope. Blocks.
    pub(super) fn named(&self, question: &str, scope: &Scope, within: Option<&[DocumentId]>) -> Result<Option<Named>> {
        Ok(named(&*self.identities()?, question, scope, within))
    }

    /// The identities of all documents. Only new documents are read: a document's content never changes. Called after
    /// a start and after an ingest too, so that no question waits for it.
    pub(super) fn identities(&self) -> Result<Arc<Identities>> {
        let mut kept = self.names.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.db.change_mark()?;
        if let Some((known, identities)) = &*kept
            && *known == mark
        {
            return Ok(identities.clone());
        }
        let mut known: HashMap<DocumentId, Arc<Identity>> = HashMap::new();
        if let Some((_, identities)) = &*kept {
            known.extend(identities.iter().map(|identity| (identity.id, identity.clone())));
        }
        let mut sampled: HashMap<CollectionId, usize> = HashMap::new();
        let mut all = Vec::new();
        for row in self.db.names()? {
            let sampled = sampled.entry(row.collection).or_default();
            *sampled += 1;
            match known.remove(&row.id).filter(|identity| identity.is_of(&row.files)) {
                Some(identity) => all.push(identity),
                None => all.push(Arc::new(self.identity(&row, *sampled <= SAMPLED_DOCUMENTS)?)),
            }
        }
        let identities = Arc::new(Identities::new(all));
        *kept = Some((mark, identities.clone()));
        Ok(identities)
    }

    fn identity(&self, row: &NameRow, is_sampled: bool) -> Result<Identity> {
        let opening = self.db.opening(row.id)?;
        let sample = if is_sampled { Some(self.db.sample(row.id, SAMPLED_CHUNKS)?) } else { None };
        let title = row.title.as_deref();
        Ok(Identity::new(row.id, row.collection, &row.files, title, &opening, row.chunks, sample.as_deref()))
    }
}
