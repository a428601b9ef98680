//! A store in memory that compares everything with everything: exact, and so what the other
//! backends are held to. For tests and small trials; nothing outlives it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use uuid::Uuid;

use super::{
    Candidate, CollectionId, DocumentId, Filter, Hit, HybridQuery, Payload, Point, PointRef, Result, Scope,
    SparseVector, Store, check_points, check_query, fuse_rrf,
};

/// See the module.
pub struct MemoryStore {
    dim: usize,
    points: RwLock<BTreeMap<Uuid, Point>>,
}

impl MemoryStore {
    /// An empty store for vectors of `dim` dimensions.
    pub fn new(dim: usize) -> Self {
        Self { dim, points: RwLock::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Uuid, Point>> {
        self.points.read().expect("no code panics while it holds this lock")
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Uuid, Point>> {
        self.points.write().expect("no code panics while it holds this lock")
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn ensure_schema(&self) -> Result<()> {
        Ok(())
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        check_points(&points, self.dim)?;
        self.write().extend(points.into_iter().map(|point| (point.id, point)));
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, collection: CollectionId, filter: Filter) -> Result<()> {
        self.write().retain(|_, point| point.collection != collection || !passes(&filter, point));
        Ok(())
    }

    async fn hybrid(&self, scope: &Scope, query: HybridQuery) -> Result<Vec<Hit>> {
        let (dense, sparse) = check_query(&query, self.dim)?;
        let points = self.read();
        let readable: Vec<&Point> = points.values().filter(|point| scope.contains(point.collection)).collect();
        let best = |score: &dyn Fn(&Point) -> f32| {
            let of = |&point: &&Point| Candidate { point: Payload::of(point).at(point.id), score: score(point) };
            let mut candidates: Vec<_> = readable.iter().filter(|point| passes(&query.filter, point)).map(of).collect();
            candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
            candidates.truncate(query.candidates);
            candidates
        };
        let near = dense.map(|dense| best(&|point| cosine(dense, &point.dense)));
        let alike = sparse.map(|sparse| {
            let sparse = weighted_by_idf(sparse, &readable);
            best(&|point| dot(&sparse, &point.sparse))
        });
        Ok(fuse_rrf(near.unwrap_or_default(), alike.unwrap_or_default(), query.limit))
    }

    async fn scroll(
        &self,
        scope: &Scope,
        filter: &Filter,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<(Vec<PointRef>, Option<Uuid>)> {
        let points = self.read();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = points
            .range((start, Bound::Unbounded))
            .map(|(_, point)| point)
            .filter(|point| scope.contains(point.collection) && passes(filter, point));
        let page: Vec<_> = found.by_ref().take(limit).map(|point| Payload::of(point).at(point.id)).collect();
        let next = found.next().and(page.last()).map(|point| point.id);
        Ok((page, next))
    }

    async fn count(&self, scope: &Scope, filter: &Filter) -> Result<u64> {
        let counts = |point: &&Point| scope.contains(point.collection) && passes(filter, point);
        Ok(self.read().values().filter(counts).count() as u64)
    }

    async fn count_by_document(&self, scope: &Scope) -> Result<HashMap<DocumentId, u64>> {
        let mut counts = HashMap::new();
        for point in self.read().values().filter(|point| scope.contains(point.collection)) {
            *counts.entry(point.document).or_default() += 1;
        }
        Ok(counts)
    }

    async fn maintenance_collections(&self) -> Result<Vec<CollectionId>> {
        let collections: HashSet<_> = self.read().values().map(|point| point.collection).collect();
        Ok(collections.into_iter().collect())
    }

    async fn maintain(&self) -> Result<()> {
        Ok(())
    }

    fn describe(&self) -> String {
        "a store in memory".into()
    }
}

fn passes(filter: &Filter, point: &Point) -> bool {
    filter.documents.as_ref().is_none_or(|documents| documents.contains(&point.document))
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn dot(a: &SparseVector, b: &SparseVector) -> f32 {
    let weight = |index| b.indices.binary_search(index).map_or(0.0, |at| b.values[at]);
    a.indices.iter().zip(&a.values).map(|(index, value)| value * weight(index)).sum()
}

/// The query with each weight times `ln(1 + (N - n + 0.5) / (n + 0.5))`, as Qdrant's
/// `Modifier::Idf` does it: `N` points have words, `n` of them this one.
fn weighted_by_idf(query: &SparseVector, corpus: &[&Point]) -> SparseVector {
    let total = corpus.iter().filter(|point| !point.sparse.indices.is_empty()).count() as f32;
    let idf = |index: &u32| {
        let with = corpus.iter().filter(|point| point.sparse.indices.binary_search(index).is_ok()).count() as f32;
        ((total - with + 0.5) / (with + 0.5) + 1.0).ln()
    };
    let values = query.indices.iter().zip(&query.values).map(|(index, value)| value * idf(index)).collect();
    SparseVector { indices: query.indices.clone(), values }
}
