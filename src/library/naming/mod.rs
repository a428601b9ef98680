//! Which documents a question names, and what it asks once the naming words are taken out.
//!
//! People say "the Acme lease", a party, or a file name, and mean one file among thousands. Such words are on its cover
//! and in its file name, and hardly ever in the clause that answers; searched for as they are, they find covers. So
//! documents have identities (file names, title, how they begin), and words that are rare among these name them.

mod index;
mod question;

use std::collections::HashSet;

pub(super) use self::index::{Identities, Identity};
use self::question::{Kind, Words};
use crate::store::{DocumentId, Scope};

/// What a question names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    /// The documents that it may mean, the likeliest first. Several when they cannot be told apart.
    pub documents: Vec<DocumentId>,
    /// The question without the words that named them, to be searched within them.
    pub question: String,
    /// So much speaks for these documents, and nothing for others, that nothing else can be meant.
    pub is_sure: bool,
}

/// A word that tells documents apart has this share of it.
const TELLING_SHARE: f32 = 0.5;
/// With this much of it, so with three names or so, nothing else can be meant; with less, other documents stay in sight.
const SURE_SHARE: f32 = 2.5;
/// Documents with this share of the best one's evidence may be meant as well.
const AS_LIKELY: f32 = 0.8;
/// Among so few documents most words of a question stand in the beginning of one alone: they may name it, and may as well
/// be what is asked.
const FEW_DOCUMENTS: usize = 5;
/// When more than this many are as likely, the question names a kind of document and not one.
const MOST_NAMED: usize = 64;

/// The documents that a question names, if it names any. Only the documents of the scope count, also for how rare a word
/// is; `within` narrows to those that a person has chosen.
pub(super) fn named(
    identities: &Identities,
    question: &str,
    scope: &Scope,
    within: Option<&[DocumentId]>,
) -> Option<Named> {
    let words = Words::of(question);
    let allowed = |at: usize| within.is_none_or(|within| within.contains(&identities.at(at).id));
    let rarity = identities.rarities(&words, scope);
    if let Some(files) = identities.by_file_name(&words, scope, &allowed) {
        let kind = |at| if files.words.contains(&at) { Kind::File } else { words.unnamed(at) };
        let question = words.without(kind, files.in_full);
        let terms: HashSet<&str> = files.words.iter().filter_map(|at| words.term(*at)).collect();
        let is_theirs = |term: &str| {
            let with = identities.with(term).iter().map(|at| identities.at(*at as usize).id);
            terms.contains(term) || with.into_iter().any(|id| files.documents.contains(&id))
        };
        let is_sure = files.in_full && !rarity.names_another(is_theirs);
        return Some(Named { documents: files.documents, question, is_sure });
    }
    let is_few = rarity.documents <= FEW_DOCUMENTS;

    let mut evidence = vec![0.0_f32; identities.len()];
    for (term, surprise) in &rarity.surprise {
        for &at in identities.with(term) {
            if rarity.counted(at) {
                evidence[at as usize] += surprise;
            }
        }
    }
    let best = evidence.iter().copied().max_by(f32::total_cmp).filter(|best| *best > 0.0)?;
    if !rarity.is_naming(best) {
        return None;
    }
    let likely =
        evidence.into_iter().enumerate().filter(|(at, evidence)| *evidence >= AS_LIKELY * best && allowed(*at));
    let mut ranked: Vec<(usize, f32)> = likely.collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let is_plain = best >= SURE_SHARE * rarity.most;
    let speaks = |terms: &HashSet<String>| {
        let evidence: f32 = rarity.surprise.iter().filter(|(term, _)| terms.contains(**term)).map(|(_, s)| s).sum();
        evidence >= AS_LIKELY * best
    };
    if !is_plain && !ranked.iter().all(|(at, _)| identities.at(*at).is_called(speaks)) {
        return None;
    }
    if ranked.is_empty() || ranked.len() > MOST_NAMED {
        return None;
    }
    let is_theirs = |term: &str| ranked.iter().any(|(at, _)| identities.at(*at).has(term));
    let kind = |at| match words.term(at) {
        Some(term) if !is_theirs(term) => words.unnamed(at),
        Some(term) if rarity.surprise.get(term).is_some_and(|s| *s >= TELLING_SHARE * rarity.most) => Kind::Naming,
        Some(_) => Kind::Theirs,
        None => Kind::Common,
    };
    let question = if is_few { question.to_owned() } else { words.without(kind, true) };
    let is_sure = is_plain && !is_few && !rarity.names_another(is_theirs);
    Some(Named { documents: ranked.iter().map(|(at, _)| identities.at(*at).id).collect(), question, is_sure })
}

#[cfg(test)]
mod tests;
