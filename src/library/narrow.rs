//! Where a search may look: the names of collections, files, types and labels that a request gives become ids.

use premise_ingest::MediaType;

use super::{Library, SearchRequest};
use crate::{
    db::Narrowing,
    error::{Error, Kind, Result},
    store::{DocumentId, Filter, Scope},
};

impl Library {
    /// The collections and documents that are meant; nothing when there is no collection yet.
    pub(super) fn scope(&self, request: &SearchRequest) -> Result<Option<(Scope, Filter)>> {
        let Some(scope) = self.scope_of(request.collections.as_deref())? else { return Ok(None) };
        let chosen = request.documents.as_deref().map(|names| self.chosen(&scope, names)).transpose()?;
        let narrowing = narrowing(request)?;
        let matching =
            if narrowing == Narrowing::default() { None } else { Some(self.db.documents_within(&scope, &narrowing)?) };
        let documents = match (chosen, matching) {
            (Some(mut chosen), Some(matching)) => {
                chosen.retain(|id| matching.contains(id));
                Some(chosen)
            }
            (chosen, matching) => chosen.or(matching),
        };
        let documents = match (documents, &request.within) {
            (Some(mut documents), Some(within)) => {
                documents.retain(|id| within.contains(id));
                Some(documents)
            }
            (documents, within) => documents.or_else(|| within.clone()),
        };
        Ok(Some((scope, Filter { documents })))
    }

    /// The collections of those names, or all; nothing when there is none.
    pub(super) fn scope_of(&self, collections: Option<&[String]>) -> Result<Option<Scope>> {
        let collections: Vec<_> = match collections {
            None => self.db.collections()?.iter().map(|collection| collection.id).collect(),
            Some(names) => names.iter().map(|name| self.collection(name)).collect::<Result<_>>()?,
        };
        Ok(Scope::new(collections))
    }

    /// The documents of files that a person has chosen. Other collections may have files of the same names.
    fn chosen(&self, scope: &Scope, names: &[String]) -> Result<Vec<DocumentId>> {
        let mut documents = Vec::new();
        for (name, ids) in self.db.documents_named(scope, names)? {
            if ids.is_empty() {
                return Err(Error::new(
                    Kind::NotFound,
                    "unknown_document",
                    format!("there is no file named {name}"),
                    "Use a name as the list of files shows it",
                ));
            }
            documents.extend(ids);
        }
        Ok(documents)
    }
}

fn narrowing(request: &SearchRequest) -> Result<Narrowing> {
    if let (Some(from), Some(to)) = (request.dated_from, request.dated_to)
        && from > to
    {
        return Err(Error::new(
            Kind::BadInput,
            "bad_dates",
            format!("no day is from {from} to {to}"),
            "Give the earlier day first",
        ));
    }
    let media_types = request
        .types
        .iter()
        .flatten()
        .map(|name| {
            let extension = name.trim().trim_start_matches('.');
            MediaType::from_name(&format!("file.{extension}")).map(|kind| kind.as_str().to_owned()).ok_or_else(|| {
                Error::new(
                    Kind::BadInput,
                    "unknown_type",
                    format!("there are no files of type {name}"),
                    format!("The types are: {}", MediaType::EXTENSIONS.map(|(extension, _)| extension).join(", ")),
                )
            })
        })
        .collect::<Result<_>>()?;
    Ok(Narrowing {
        media_types,
        labels: request.labels.clone().unwrap_or_default(),
        dated_from: request.dated_from,
        dated_to: request.dated_to,
    })
}

/// The error for a collection that is not there.
pub(super) fn unknown_collection(name: &str, known: &[&str]) -> Error {
    let hint = if known.is_empty() {
        "There is no collection yet: add files first".to_owned()
    } else {
        format!("The collections are: {}", known.join(", "))
    };
    Error::new(Kind::NotFound, "unknown_collection", format!("there is no collection named {name}"), hint)
}
