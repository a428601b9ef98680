//! Where passages are found: the one seam to the vector index, and the types that cross it. Every
//! read names the collections that its caller may see; nothing outside them can show in a hit, a
//! count or a score.

pub mod edge;
mod error;
mod fuse;
pub mod memory;
pub mod server;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use error::{Result, StoreError};
pub use fuse::{Candidate, RRF_K, fuse_rrf};

/// A vector index. It can always be rebuilt from the database, so it holds no text.
#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// Creates what the index needs (vectors, payload indexes) where it is missing; refuses an
    /// index of another shape.
    async fn ensure_schema(&self) -> Result<()>;

    /// Writes points; one with the id of an older point takes its place. All points are checked
    /// before the first is written. Found by queries on return, but only sure to outlive a crash
    /// after [`Store::flush`].
    async fn upsert(&self, points: Vec<Point>) -> Result<()>;

    /// Makes all writes that returned before this call durable. One flush may cover many upserts.
    async fn flush(&self) -> Result<()>;

    /// Removes the points of one collection that the filter leaves: with [`Filter::default`] all of
    /// them.
    async fn delete(&self, collection: CollectionId, filter: Filter) -> Result<()>;

    /// Searches by meaning and by words, and merges the two rankings by [`fuse_rrf`]. Best first.
    async fn hybrid(&self, scope: &Scope, query: HybridQuery) -> Result<Vec<Hit>>;

    /// Lists points by ascending id, at most `limit` after the point `after`. The second value is
    /// the `after` of the next page, and `None` when this was the last.
    async fn scroll(
        &self,
        scope: &Scope,
        filter: &Filter,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<(Vec<PointRef>, Option<Uuid>)>;

    /// How many points there are, exactly.
    async fn count(&self, scope: &Scope, filter: &Filter) -> Result<u64>;

    /// How many points each document has, exactly. Documents without points are absent.
    async fn count_by_document(&self, scope: &Scope) -> Result<HashMap<DocumentId, u64>>;

    /// All collections that have points, readable by the caller or not. Only for maintenance, to
    /// find orphans: its result must never reach a person.
    async fn maintenance_collections(&self) -> Result<Vec<CollectionId>>;

    /// Builds the graphs that keep large collections fast, and reclaims deleted space. Call it
    /// after a sync: it can take minutes, and people can search meanwhile.
    async fn maintain(&self) -> Result<()>;

    /// What and where this is, in a few words for people.
    fn describe(&self) -> String;
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id! {
    /// A collection: what people are granted access to, and so the unit of every wall.
    CollectionId
}
id! {
    /// A document of a collection.
    DocumentId
}

/// The collections that a caller may read: never empty, so that a forgotten right cannot mean
/// "all".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Vec<CollectionId>);

impl Scope {
    /// The scope of these collections, or `None` if there are none.
    pub fn new(collections: impl IntoIterator<Item = CollectionId>) -> Option<Self> {
        let mut collections: Vec<_> = collections.into_iter().collect();
        collections.sort_unstable();
        collections.dedup();
        (!collections.is_empty()).then_some(Self(collections))
    }

    /// The collections, sorted.
    pub fn collections(&self) -> &[CollectionId] {
        &self.0
    }

    /// Whether the collection may be read.
    pub fn contains(&self, collection: CollectionId) -> bool {
        self.0.binary_search(&collection).is_ok()
    }
}

/// Narrows a request within its scope. The default narrows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these documents: `None` is all of the scope, an empty list is none.
    pub documents: Option<Vec<DocumentId>>,
}

impl Filter {
    /// Only these documents.
    pub fn documents(documents: impl IntoIterator<Item = DocumentId>) -> Self {
        Self { documents: Some(documents.into_iter().collect()) }
    }

    /// Whether the filter can let nothing through.
    pub(crate) fn is_void(&self) -> bool {
        self.documents.as_ref().is_some_and(Vec::is_empty)
    }
}

/// A chunk as the index holds it: its two vectors and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Id of the chunk.
    pub id: Uuid,
    /// Collection of the document.
    pub collection: CollectionId,
    /// Document of the chunk.
    pub document: DocumentId,
    /// Number of the chunk in its document, from 0.
    pub chunk: u32,
    /// First page that the chunk touches, from 1.
    pub page_start: u32,
    /// Last page that the chunk touches.
    pub page_end: u32,
    /// Meaning, as the embedder gives it. Compared by cosine, so its length does not matter.
    pub dense: Vec<f32>,
    /// Words, see [`crate::sparse`]. May be empty: the chunk is then only found by meaning.
    pub sparse: SparseVector,
}

/// Weights of terms: `values[i]` is the weight of the term numbered `indices[i]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SparseVector {
    /// Numbers of the terms, ascending, each once.
    pub indices: Vec<u32>,
    /// Weights, above 0.
    pub values: Vec<f32>,
}

/// A point without its vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointRef {
    /// Id of the chunk.
    pub id: Uuid,
    /// Collection of the document.
    pub collection: CollectionId,
    /// Document of the chunk.
    pub document: DocumentId,
    /// Number of the chunk in its document, from 0.
    pub chunk: u32,
    /// First page that the chunk touches, from 1.
    pub page_start: u32,
    /// Last page that the chunk touches.
    pub page_end: u32,
}

/// A search by meaning, by words, or by both.
#[derive(Debug, Clone, PartialEq)]
pub struct HybridQuery {
    /// The question's meaning; `None` searches by words only.
    pub dense: Option<Vec<f32>>,
    /// The question's words; `None` searches by meaning only.
    pub sparse: Option<SparseVector>,
    /// Narrows the search. The rarity of words is still that of the whole scope, so scores do not
    /// shift with it.
    pub filter: Filter,
    /// How many hits of each ranking are merged. Default 100: more finds hits that both rank low,
    /// and costs time.
    pub candidates: usize,
    /// How many hits are given. Default 10.
    pub limit: usize,
}

impl Default for HybridQuery {
    fn default() -> Self {
        Self { dense: None, sparse: None, filter: Filter::default(), candidates: 100, limit: 10 }
    }
}

/// A point that a search found, with its place in each ranking that held it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Id of the chunk.
    pub id: Uuid,
    /// Collection of the document.
    pub collection: CollectionId,
    /// Document of the chunk.
    pub document: DocumentId,
    /// Number of the chunk in its document, from 0.
    pub chunk: u32,
    /// Sum of `1 / (60 + rank)` over the rankings.
    pub score: f32,
    /// Cosine to the question, -1 to 1.
    pub dense_score: Option<f32>,
    /// Place by meaning, from 1.
    pub dense_rank: Option<u32>,
    /// BM25 score, above 0.
    pub sparse_score: Option<f32>,
    /// Place by words, from 1.
    pub sparse_rank: Option<u32>,
}

/// What a point carries besides its vectors: the payload of both Qdrant backends, under these
/// names.
#[derive(Serialize, Deserialize)]
struct Payload {
    collection: CollectionId,
    document: DocumentId,
    chunk: u32,
    page_start: u32,
    page_end: u32,
}

impl Payload {
    fn of(point: &Point) -> Self {
        let Point { collection, document, chunk, page_start, page_end, .. } = *point;
        Self { collection, document, chunk, page_start, page_end }
    }

    fn at(self, id: Uuid) -> PointRef {
        let Self { collection, document, chunk, page_start, page_end } = self;
        PointRef { id, collection, document, chunk, page_start, page_end }
    }
}

/// Refuses what an index would take and never find again, or would find always.
fn check_points(points: &[Point], dim: usize) -> Result<()> {
    for point in points {
        let bad = |problem| StoreError::BadVector { of: format!("point {}", point.id), problem };
        check_dense(&point.dense, dim).map_err(bad)?;
        check_sparse(&point.sparse).map_err(bad)?;
    }
    Ok(())
}

/// The branches of a query that can find something; refuses a malformed one.
fn check_query(query: &HybridQuery, dim: usize) -> Result<(Option<&[f32]>, Option<&SparseVector>)> {
    let bad = |problem| StoreError::BadVector { of: "the question".into(), problem };
    if let Some(dense) = &query.dense {
        check_dense(dense, dim).map_err(bad)?;
    }
    if let Some(sparse) = &query.sparse {
        check_sparse(sparse).map_err(bad)?;
    }
    if query.filter.is_void() || query.limit == 0 || query.candidates == 0 {
        return Ok((None, None));
    }
    Ok((query.dense.as_deref(), query.sparse.as_ref().filter(|sparse| !sparse.indices.is_empty())))
}

fn check_dense(dense: &[f32], dim: usize) -> Result<(), String> {
    if dense.len() != dim {
        return Err(format!("it has {} dimensions, the index has {dim}", dense.len()));
    }
    let square: f32 = dense.iter().map(|x| x * x).sum();
    if !square.is_finite() {
        return Err("it holds a number that is not finite".into());
    }
    if square < f32::MIN_POSITIVE {
        return Err("its length is zero".into());
    }
    Ok(())
}

fn check_sparse(sparse: &SparseVector) -> Result<(), String> {
    if sparse.indices.len() != sparse.values.len() {
        return Err("it has not one weight for each term".into());
    }
    if !sparse.indices.is_sorted_by(|a, b| a < b) {
        return Err("its terms are not ascending".into());
    }
    if !sparse.values.iter().all(|value| value.is_finite() && *value > 0.0) {
        return Err("it holds a term weight that is not above zero".into());
    }
    Ok(())
}
