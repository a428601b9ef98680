//! The identities of all documents and how rare each of their words is.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::question::{Words, can_name, pieces};
use crate::{
    sparse,
    store::{CollectionId, DocumentId, Scope},
};

/// By which words people could call a document.
pub(in crate::library) struct Identity {
    pub id: DocumentId,
    collection: CollectionId,
    /// Words of its file names, title and beginning.
    terms: HashSet<String>,
    /// Those of its file names and title alone, when it is short.
    short_names: Option<HashSet<String>>,
    names: Vec<String>,
    /// The last part of each of its file names, and that with the folder before it, in pieces.
    files: Vec<Vec<String>>,
    /// The words of a sample of its text.
    sample: Option<HashSet<String>>,
}

/// Words of a beginning that belong to the identity: parties and kind stand there; what follows is running text.
const OPENING_WORDS: usize = 150;
/// A document of so few chunks is found by its text: its beginning is no name of it but the thing itself.
const SHORT_CHUNKS: u32 = 8;

impl Identity {
    /// From the file names, the title and the beginning of a document of that many chunks, and a sample of its text.
    pub(in crate::library) fn new(
        id: DocumentId,
        collection: CollectionId,
        files: &[String],
        title: Option<&str>,
        opening: &str,
        chunks: u32,
        sample: Option<&str>,
    ) -> Self {
        let mut terms = HashSet::new();
        for file in files {
            let name = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem);
            let parts = name.replace(|c: char| !c.is_alphanumeric(), " ");
            add(&mut terms, &parts, usize::MAX);
            add(&mut terms, &camel_parts(&parts), usize::MAX);
        }
        add(&mut terms, title.unwrap_or_default(), usize::MAX);
        let is_short = chunks <= SHORT_CHUNKS;
        let short_names = is_short.then(|| terms.clone());
        add(&mut terms, opening, OPENING_WORDS);
        Self {
            id,
            collection,
            terms,
            short_names,
            names: files.to_vec(),
            files: files.iter().flat_map(|file| last_parts(file)).collect(),
            sample: sample
                .map(|text| sparse::words_with_terms(text).into_iter().filter_map(|(_, term)| term).collect()),
        }
    }

    /// Whether it was made from these file names.
    pub(in crate::library) fn is_of(&self, files: &[String]) -> bool {
        files == self.names
    }

    /// Whether it is more than its beginning, or is named by its file or title: a short text is as well found by
    /// what it says.
    pub(super) fn is_called(&self, by: impl Fn(&HashSet<String>) -> bool) -> bool {
        self.short_names.as_ref().is_none_or(by)
    }

    pub(super) fn has(&self, term: &str) -> bool {
        self.terms.contains(term)
    }
}

/// The pieces of a file's name, and of that with the folder that it is in.
fn last_parts(file: &str) -> impl Iterator<Item = Vec<String>> {
    let mut slashes = file.rmatch_indices('/').map(|(at, _)| at + 1);
    let name = slashes.next();
    let with_folder = name.map(|_| slashes.next().unwrap_or(0));
    std::iter::once(name.unwrap_or(0)).chain(with_folder).map(|from| pieces(&file[from..]))
}

fn add(terms: &mut HashSet<String>, text: &str, most: usize) {
    let words = sparse::words_with_terms(text).into_iter().take(most);
    terms.extend(words.filter_map(|(_, term)| term).filter(|term| can_name(term)));
}

/// `ElPolloLoco2020` as `El Pollo Loco 2020`.
fn camel_parts(text: &str) -> String {
    let mut parted = String::with_capacity(text.len() + 8);
    let chars: Vec<char> = text.chars().collect();
    for (at, &c) in chars.iter().enumerate() {
        if let Some(&before) = at.checked_sub(1).and_then(|at| chars.get(at)) {
            let next_is_lower = chars.get(at + 1).is_some_and(|c| c.is_lowercase());
            let parts = (c.is_uppercase() && (before.is_lowercase() || (before.is_uppercase() && next_is_lower)))
                || (c.is_ascii_digit() != before.is_ascii_digit() && c.is_alphanumeric() && before.is_alphanumeric());
            if parts {
                parted.push(' ');
            }
        }
        parted.push(c);
    }
    parted
}

/// All identities, and where each word is.
#[derive(Default)]
pub(in crate::library) struct Identities {
    all: Vec<std::sync::Arc<Identity>>,
    with: HashMap<String, Vec<u32>>,
    /// The documents of the sample, and where each word of their running text is among them.
    sampled: Vec<u32>,
    sampled_with: HashMap<String, Vec<u32>>,
    by_file: HashMap<Vec<String>, Vec<u32>>,
    /// The same without extensions.
    by_stem: HashMap<Vec<String>, Vec<u32>>,
    longest_file: usize,
}

/// Files whose names stand in a question.
pub(super) struct NamedFiles {
    pub documents: Vec<DocumentId>,
    /// The words of the question that they take.
    pub words: HashSet<usize>,
    /// Whether all stand there with their extension; without it "annual report" may be the file or what is asked for.
    pub in_full: bool,
}

/// Words name a document from this surprise on, in nats: 2.4 is a word that one document in eleven has. Among a few
/// documents no word is that rare; there, this share of what a word of a single document has is enough.
const NAMING_NATS: f32 = 2.4;
const NAMING_SHARE: f32 = 0.75;

/// How much each term of a question tells about which document is meant.
pub(super) struct Rarities<'a> {
    /// Surprise in nats, by term.
    pub surprise: BTreeMap<&'a str, f32>,
    /// That of a term of a single document.
    pub most: f32,
    /// Documents of the scope.
    pub documents: usize,
    in_scope: Vec<bool>,
}

impl Rarities<'_> {
    pub(super) fn counted(&self, at: u32) -> bool {
        self.in_scope[at as usize]
    }

    /// Whether so much surprise names a document.
    pub(super) fn is_naming(&self, surprise: f32) -> bool {
        surprise >= NAMING_NATS.min(NAMING_SHARE * self.most)
    }

    /// Whether a term by itself names a document that is none of "theirs".
    pub(super) fn names_another(&self, is_theirs: impl Fn(&str) -> bool) -> bool {
        self.surprise.iter().any(|(term, surprise)| self.is_naming(*surprise) && !is_theirs(term))
    }
}

impl Identities {
    pub(in crate::library) fn new(all: Vec<std::sync::Arc<Identity>>) -> Self {
        let mut with: HashMap<String, Vec<u32>> = HashMap::new();
        let mut sampled = Vec::new();
        let mut sampled_with: HashMap<String, Vec<u32>> = HashMap::new();
        let mut by_file: HashMap<Vec<String>, Vec<u32>> = HashMap::new();
        let mut by_stem: HashMap<Vec<String>, Vec<u32>> = HashMap::new();
        for (at, identity) in (0..).zip(&all) {
            if let Some(sample) = &identity.sample {
                sampled.push(at);
                for term in sample {
                    sampled_with.entry(term.clone()).or_default().push(at);
                }
            }
            for term in &identity.terms {
                with.entry(term.clone()).or_default().push(at);
            }
            for file in &identity.files {
                by_file.entry(file.clone()).or_default().push(at);
                // Without its extension a name of one word is a word like any other.
                if file.len() > 2 {
                    by_stem.entry(file[..file.len() - 1].to_vec()).or_default().push(at);
                }
            }
        }
        let longest_file = by_file.keys().map(Vec::len).max().unwrap_or(0);
        Self { all, with, sampled, sampled_with, by_file, by_stem, longest_file }
    }

    pub(in crate::library) fn iter(&self) -> impl Iterator<Item = &std::sync::Arc<Identity>> {
        self.all.iter()
    }

    /// Whether a document of the scope, or of those that a person has chosen, has this word in its identity.
    pub(in crate::library) fn knows(&self, term: &str, scope: &Scope, within: Option<&[DocumentId]>) -> bool {
        self.with(term).iter().map(|at| self.at(*at as usize)).any(|identity| {
            scope.contains(identity.collection) && within.is_none_or(|within| within.contains(&identity.id))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn at(&self, at: usize) -> &Identity {
        &self.all[at]
    }

    fn is_sampled(&self, at: u32) -> bool {
        self.all[at as usize].sample.is_some()
    }

    pub(super) fn with(&self, term: &str) -> &[u32] {
        self.with.get(term).map_or(&[], Vec::as_slice)
    }

    /// The documents whose file names stand in the question, with any separators, and the words that these take there.
    /// Longer names come first: "nda.pdf" is not meant by "acme nda.pdf" when there is such a file.
    pub(super) fn by_file_name(
        &self,
        words: &Words,
        scope: &Scope,
        allowed: &dyn Fn(usize) -> bool,
    ) -> Option<NamedFiles> {
        let pieces = words.pieces();
        let mut taken = vec![false; pieces.len()];
        let mut documents = Vec::new();
        let mut in_full = true;
        for length in (2..=self.longest_file.min(pieces.len())).rev() {
            for (start, window) in pieces.windows(length).enumerate() {
                let span = start..start + length;
                if taken[span.clone()].contains(&true) {
                    continue;
                }
                let name: Vec<String> = window.iter().map(|(_, piece)| piece.clone()).collect();
                let files = [(true, self.by_file.get(&name)), (false, self.by_stem.get(&name))];
                let found =
                    files.into_iter().flat_map(|(full, at)| at.into_iter().flatten().map(move |at| (full, *at)));
                for (full, at) in found {
                    let at = at as usize;
                    if !scope.contains(self.at(at).collection) || !allowed(at) {
                        continue;
                    }
                    let id = self.at(at).id;
                    taken[span.clone()].fill(true);
                    in_full &= full;
                    if !documents.contains(&id) {
                        documents.push(id);
                    }
                }
            }
        }
        let words = pieces.iter().zip(&taken).filter(|(_, taken)| **taken).map(|((at, _), _)| *at).collect();
        (!documents.is_empty()).then_some(NamedFiles { documents, words, in_full })
    }

    /// How rare the question's terms are as names: among identities, and in the running text of a sample of the others,
    /// so that a word of everyday clauses that happens to stand on one cover does not name that document.
    pub(super) fn rarities<'a>(&self, words: &'a Words, scope: &Scope) -> Rarities<'a> {
        let in_scope: Vec<bool> = self.all.iter().map(|identity| scope.contains(identity.collection)).collect();
        let documents = in_scope.iter().filter(|in_scope| **in_scope).count() as f32;
        let nats = |count: f32| ((documents + 1.0) / (count + 0.5)).ln().max(0.0);
        let counted = |at: &&u32| in_scope[**at as usize];
        let samples = self.sampled.iter().filter(counted).count();
        let surprise = words
            .terms()
            .filter_map(|term| {
                let with = self.with(term);
                let named = with.iter().filter(counted).count();
                if named == 0 {
                    return None;
                }
                let is_named = |at: &&u32| with.binary_search(at).is_ok();
                let others = samples - with.iter().filter(counted).filter(|at| self.is_sampled(**at)).count();
                let using = self.sampled_with.get(term).into_iter().flatten();
                let using = using.filter(counted).filter(|at| !is_named(at)).count();
                let used = if others == 0 { 0.0 } else { using as f32 / others as f32 * documents };
                Some((term, nats(named as f32 + used)))
            })
            .collect();
        Rarities { surprise, most: nats(1.0), documents: documents as usize, in_scope }
    }
}
