//! Export: an answer to a bundle that can be checked elsewhere. What it quotes is looked up again and must still stand
//! where the answer says, so that no bundle is made of an answer that somebody wrote by hand.

use std::collections::BTreeMap;

use chrono::Utc;
use uuid::Uuid;

use super::{Answer, Library, Quote};
use crate::{
    bundle::{self, Bundle, MadeBy, Quoted, Record, Source},
    error::{Error, Kind, Result},
};

impl Library {
    /// The bundle of a late answer. Blocks.
    pub fn export_given(&self, id: Uuid) -> Result<Vec<u8>> {
        self.export(&self.given(id)?.answer)
    }

    /// The bundle of an answer. Blocks.
    pub fn export(&self, answer: &Answer) -> Result<Vec<u8>> {
        let mut pages = BTreeMap::new();
        let mut sources: BTreeMap<String, Source> = BTreeMap::new();
        let mut quoted = |quotes: &[Quote]| -> Result<Vec<Quoted>> {
            quotes.iter().map(|quote| self.quoted(quote, &mut pages, &mut sources)).collect()
        };
        let citations = quoted(&answer.citations)?;
        let evidence = quoted(&answer.evidence)?;
        let record = Record {
            format: bundle::FORMAT.to_owned(),
            id: answer.id,
            asked_at: answer.asked_at,
            exported_at: Utc::now(),
            question: answer.question.clone(),
            understood: answer.understood.clone(),
            answer: answer.answer.clone(),
            grade: answer.grade,
            refused: answer.refused,
            left_out: answer.left_out,
            citations,
            evidence,
            sources: sources.into_values().collect(),
            made_by: MadeBy {
                premise: env!("CARGO_PKG_VERSION").to_owned(),
                reader: premise_ingest::REVISION,
                model: answer.model.clone(),
                model_sha256: self.generator_sha256.clone().filter(|_| answer.model == self.generator_name),
                embedder: self.embedder.clone(),
                index: self.index_name.clone(),
            },
            total_ms: answer.timings.total_ms,
        };
        bundle::pack(&Bundle { record, pages }).map_err(|error| Error::io("pack the bundle", &error))
    }

    fn quoted(
        &self,
        quote: &Quote,
        pages: &mut BTreeMap<String, String>,
        sources: &mut BTreeMap<String, Source>,
    ) -> Result<Quoted> {
        let gone = || {
            Error::new(
                Kind::Conflict,
                "quote_gone",
                format!("what the answer quotes of {}, page {}, does not stand there any more", quote.file, quote.page),
                "The file was changed or removed since, or the answer was altered: ask again",
            )
        };
        let document = self.document(quote.document).map_err(|_| gone())?;
        let page = self.page(quote.document, quote.page).map_err(|_| gone())?;
        if page.text.get(quote.start as usize..quote.end as usize) != Some(quote.quote.as_str())
            || quote.quote.is_empty()
        {
            return Err(gone());
        }
        let text = bundle::page_entry(&document.sha256, quote.page);
        pages.insert(text.clone(), page.text);
        let sha256 = document.sha256.clone();
        sources.entry(document.id.to_string()).or_insert_with(|| Source {
            file: document.file.clone(),
            collection: document.collection,
            sha256: document.sha256,
            size_bytes: document.size_bytes,
            media_type: document.media_type,
            pages: document.pages,
            read_at: document.added_at,
        });
        let (n, page, start, end) = (quote.n, quote.page, quote.start, quote.end);
        Ok(Quoted { n, file: document.file, sha256, page, text, start, end, quote: quote.quote.clone() })
    }
}
