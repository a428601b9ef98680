//! Qdrant Edge: the index in our own process, in one folder. The only file that knows the crate.
//! Its calls block, so each runs on a blocking thread.

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use qdrant_edge::{
    AnyVariants, Condition, CountRequestBuilder, CreateIndex, Distance, EdgeConfig, EdgeConfigBuilder,
    EdgeOptimizersConfig, EdgeShard, EdgeSparseVectorParamsBuilder, EdgeVectorParamsBuilder, FacetHit,
    FacetRequestBuilder, FacetValue, FieldCondition, FieldIndexOperations, Filter as EdgeFilter, IdfCorpusParams,
    IdfParams, JsonPath, KeywordIndexParamsBuilder, Match, MatchAny, Modifier, NamedQuery, NamedVectors,
    OperationError, PayloadFieldSchema, PayloadSchemaParams, PointId, PointInsertOperations, PointOperations,
    PointStruct, QueryBatchRequest, QueryEnum, QueryRequest, QueryRequestBuilder, ScoredPoint, ScoringQuery,
    ScrollRequestBuilder, SearchParams, UpdateOperation, Vector, VectorInternal, WithPayloadInterface,
};
use uuid::Uuid;

use super::{
    Candidate, CollectionId, DocumentId, Filter, Hit, HybridQuery, Payload, Point, PointRef, Result, Scope,
    SparseVector, Store, StoreError, check_points, check_query, fuse_rrf,
};

const DENSE: &str = "dense";
const SPARSE: &str = "bm25";

/// Points written in one step: a record of about 2 MB in the write-ahead log at 384 dimensions.
const BATCH: usize = 500;

/// See the module. Dropping it flushes.
pub struct EdgeStore {
    inner: Arc<Inner>,
    dim: usize,
}

struct Inner {
    shard: EdgeShard,
    folder: PathBuf,
    /// The collections that may have points: those of the folder when it was opened, and all that were written since.
    /// Nothing before the folder was looked through.
    collections: RwLock<Option<HashSet<CollectionId>>>,
    /// After `shard`, so that it is given back once the shard has flushed.
    _lock: File,
}

impl EdgeStore {
    /// Opens the index in `folder` for vectors of `dim` dimensions, or makes one. Blocks: loading
    /// 100,000 points takes about half a second. A folder that anything else has open is refused
    /// before it is touched, because a second `EdgeShard::load` deletes files that the first one
    /// writes.
    pub fn open(folder: &Path, dim: usize) -> Result<Self> {
        const DOING: &str = "open the index";
        let unwritable = |error: io::Error| StoreError::of(DOING, name(folder), error);
        let other = |error: OperationError| StoreError::of(DOING, name(folder), error);
        let lock = std::fs::create_dir_all(folder)
            .and_then(|()| File::create(folder.join("premise.lock")))
            .map_err(unwritable)?;
        if fs4::available_space(folder).map_err(unwritable)? < OPENING_BYTES {
            return Err(unwritable(io::ErrorKind::StorageFull.into()));
        }
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse { store: name(folder) });
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        let shard = if folder.join("edge_config.json").exists() {
            // Without vectors: those of the folder are kept, and compared below.
            EdgeShard::load(folder, Some(tunables().build())).map_err(other)?
        } else {
            EdgeShard::new(folder, config(dim)).map_err(other)?
        };
        check_schema(&shard.config(), dim, folder)?;
        let inner = Inner { shard, folder: folder.to_owned(), collections: RwLock::default(), _lock: lock };
        Ok(Self { inner: Arc::new(inner), dim })
    }

    /// Runs a blocking call on a thread for such calls.
    async fn call<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl FnOnce(&EdgeShard) -> Result<T, OperationError> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || call(&inner.shard)).await {
            Ok(result) => result.map_err(|error| StoreError::of(doing, name(&self.inner.folder), error)),
            Err(panicked) => Err(StoreError::of(doing, name(&self.inner.folder), panicked)),
        }
    }

    async fn facet(&self, doing: &'static str, field: &'static str, filter: Option<EdgeFilter>) -> Result<Facets> {
        let facets = self.call(doing, move |shard| {
            let mut request = FacetRequestBuilder::new(path(field)).limit(usize::MAX).exact(true);
            if let Some(filter) = filter {
                request = request.filter(filter);
            }
            shard.facet(request.build())
        });
        Ok(ids(facets.await?.hits).collect())
    }

    /// Whether the scope has every collection that has points.
    fn is_all(&self, scope: &Scope) -> bool {
        let written = self.inner.collections.read().unwrap_or_else(PoisonError::into_inner);
        let within = |written: &HashSet<_>| written.iter().all(|one| scope.collections().contains(one));
        written.as_ref().is_some_and(within)
    }

    fn unreadable(&self, doing: &'static str, id: &PointId) -> StoreError {
        let problem = format!("point {id} has no readable payload");
        StoreError::of(doing, name(&self.inner.folder), problem)
    }
}

type Facets = Vec<(Uuid, u64)>;

/// The ids that a field has, with how many points have each.
fn ids(hits: Vec<FacetHit<FacetValue>>) -> impl Iterator<Item = (Uuid, u64)> {
    let id = |value: FacetValue| match value {
        FacetValue::Keyword(id) => Uuid::parse_str(&id).ok(),
        _ => None,
    };
    hits.into_iter().filter_map(move |hit| Some((id(hit.value)?, hit.count as u64))).filter(|(_, count)| *count > 0)
}

#[async_trait::async_trait]
impl Store for EdgeStore {
    async fn ensure_schema(&self) -> Result<()> {
        self.call("index the fields of points", |shard| {
            let present = shard.info()?.payload_schema;
            for (field, is_tenant) in [("collection", true), ("document", false)] {
                if present.contains_key(&path(field)) {
                    continue;
                }
                let params = KeywordIndexParamsBuilder::new().is_tenant(is_tenant).build();
                let schema = PayloadFieldSchema::FieldParams(PayloadSchemaParams::Keyword(params));
                let create = CreateIndex { field_name: path(field), field_schema: Some(schema) };
                shard.update(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(create)))?;
            }
            shard.flush()
        })
        .await?;
        let written = self.maintenance_collections().await?.into_iter().collect();
        *self.inner.collections.write().unwrap_or_else(PoisonError::into_inner) = Some(written);
        Ok(())
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        check_points(&points, self.dim)?;
        // Before the first is written: a query in between must not take them for its own.
        if let Some(written) = &mut *self.inner.collections.write().unwrap_or_else(PoisonError::into_inner) {
            written.extend(points.iter().map(|point| point.collection));
        }
        self.call("write points", move |shard| {
            let mut points = points.into_iter();
            loop {
                check_room(shard.path(), 0)?;
                let batch = points.by_ref().take(BATCH).map(stored).collect::<Result<Vec<_>, _>>()?;
                if batch.is_empty() {
                    return Ok(());
                }
                let insert = PointInsertOperations::PointsList(batch.into_iter().map(Into::into).collect());
                shard.update(UpdateOperation::PointOperation(PointOperations::UpsertPoints(insert)))?;
            }
        })
        .await
    }

    async fn flush(&self) -> Result<()> {
        self.call("flush the index", EdgeShard::flush).await
    }

    async fn delete(&self, collection: CollectionId, filter: Filter) -> Result<()> {
        if filter.is_void() {
            return Ok(());
        }
        let filter = must(&[collection], &filter);
        self.call("delete points", move |shard| {
            shard.update(UpdateOperation::PointOperation(PointOperations::DeletePointsByFilter(filter)))
        })
        .await
    }

    async fn hybrid(&self, scope: &Scope, query: HybridQuery) -> Result<Vec<Hit>> {
        const DOING: &str = "search";
        let (dense, sparse) = check_query(&query, self.dim)?;
        let filter = must(scope.collections(), &query.filter);
        // Rarity is counted within the scope, so that no file of another matter moves a score. Where the scope is
        // everything, nothing needs to be looked up for it, which saves 4 ms of 7 at 100,000 points.
        let corpus = if self.is_all(scope) { EdgeFilter::new() } else { must(scope.collections(), &Filter::default()) };
        let dense = dense.map(|dense| near(dense, query.candidates, filter.clone()));
        let sparse = sparse.map(|sparse| alike(sparse, query.candidates, filter, corpus));
        let branches = (dense.is_some(), sparse.is_some());
        let queries: Vec<_> = dense.into_iter().chain(sparse).collect();
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.call(DOING, move |shard| shard.query_batch(QueryBatchRequest::new(queries))).await?;
        let mut found = found.into_iter();
        let mut next = |searched: bool| -> Result<Vec<Candidate>> {
            let points = if searched { found.next() } else { None }.into_iter().flatten();
            points.map(|point| candidate(&point).ok_or_else(|| self.unreadable(DOING, &point.id))).collect()
        };
        Ok(fuse_rrf(next(branches.0)?, next(branches.1)?, query.limit))
    }

    async fn scroll(
        &self,
        scope: &Scope,
        filter: &Filter,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<(Vec<PointRef>, Option<Uuid>)> {
        const DOING: &str = "list points";
        // Edge starts a page at an id, we start after one.
        let start = after.map(|after| after.as_u128().checked_add(1));
        if filter.is_void() || limit == 0 || start == Some(None) {
            return Ok((Vec::new(), None));
        }
        let mut request = ScrollRequestBuilder::new()
            .limit(limit)
            .filter(must(scope.collections(), filter))
            .with_payload(WithPayloadInterface::Bool(true));
        if let Some(start) = start.flatten() {
            request = request.offset(PointId::Uuid(Uuid::from_u128(start)));
        }
        let (records, next) = self.call(DOING, move |shard| shard.scroll(request.build())).await?;
        let points = records
            .into_iter()
            .map(|record| {
                let payload = record.payload.map(|payload| payload.0);
                point_ref(&record.id, payload).ok_or_else(|| self.unreadable(DOING, &record.id))
            })
            .collect::<Result<Vec<_>>>()?;
        let next = next.and(points.last()).map(|last| last.id);
        Ok((points, next))
    }

    async fn count(&self, scope: &Scope, filter: &Filter) -> Result<u64> {
        if filter.is_void() {
            return Ok(0);
        }
        let request = CountRequestBuilder::new().filter(must(scope.collections(), filter)).exact(true).build();
        Ok(self.call("count points", move |shard| shard.count(request)).await? as u64)
    }

    async fn count_by_document(&self, scope: &Scope) -> Result<HashMap<DocumentId, u64>> {
        let filter = must(scope.collections(), &Filter::default());
        let facets = self.facet("count the points of documents", "document", Some(filter)).await?;
        Ok(facets.into_iter().map(|(id, count)| (DocumentId(id), count)).collect())
    }

    async fn maintenance_collections(&self) -> Result<Vec<CollectionId>> {
        let facets = self.facet("list the collections", "collection", None).await?;
        Ok(facets.into_iter().map(|(id, _)| CollectionId(id)).collect())
    }

    async fn maintain(&self) -> Result<()> {
        self.call("optimise the index", |shard| {
            // Segments are rewritten beside the old ones, up to about this many bytes at once.
            check_room(shard.path(), used_bytes(shard.path())?.min(4 << 30))?;
            shard.optimize()?;
            shard.flush()
        })
        .await
    }

    fn describe(&self) -> String {
        format!("Qdrant Edge in process at {}", self.inner.folder.display())
    }
}

fn name(folder: &Path) -> String {
    format!("the index at {}", folder.display())
}

/// Room that writing leaves free. Edge's files are sparse maps in memory: on a full disk the system
/// kills the whole process (`SIGBUS`) instead of refusing a write, so the disk must never become
/// full by us.
const RESERVE_BYTES: u64 = 256 << 20;

/// Opening writes little, but what it writes must fit for the same reason.
const OPENING_BYTES: u64 = 64 << 20;

/// Refuses when fewer than [`RESERVE_BYTES`] would be left after writing so many.
fn check_room(folder: &Path, bytes: u64) -> Result<(), OperationError> {
    if fs4::available_space(folder)? >= RESERVE_BYTES + bytes {
        return Ok(());
    }
    Err(io::Error::from(io::ErrorKind::StorageFull).into())
}

fn used_bytes(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += if metadata.is_dir() { used_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(total)
}

fn config(dim: usize) -> EdgeConfig {
    tunables()
        .vector(DENSE, EdgeVectorParamsBuilder::new(dim, Distance::Cosine).build())
        .sparse_vector(SPARSE, EdgeSparseVectorParamsBuilder::new().modifier(Modifier::Idf).build())
        .build()
}

/// Settings that may differ from those a folder was made with.
fn tunables() -> EdgeConfigBuilder {
    EdgeConfigBuilder::new().optimizers(EdgeOptimizersConfig {
        // In KB. Segments below are compared in full: 6,800 vectors of 384 dimensions, a few
        // milliseconds.
        indexing_threshold: Some(10_000),
        default_segment_number: Some(2),
        ..EdgeOptimizersConfig::default()
    })
}

fn check_schema(config: &EdgeConfig, dim: usize, folder: &Path) -> Result<()> {
    let size = config.vectors.get(DENSE).map(|vector| vector.size);
    let idf = config.sparse_vectors.get(SPARSE).is_some_and(|vector| vector.modifier == Some(Modifier::Idf));
    let found = match size {
        Some(size) if size == dim && idf => return Ok(()),
        Some(size) if idf => format!("vectors of {size} dimensions"),
        _ => format!("vectors {:?} and {:?}", config.vectors.keys(), config.sparse_vectors.keys()),
    };
    let expected = format!("vectors of {dim} dimensions");
    Err(StoreError::WrongSchema { store: name(folder), found, expected })
}

fn path(field: &str) -> JsonPath {
    field.parse().expect("a plain field name is a JSON path")
}

/// Only points of these collections, and of these documents if the filter names any. Not for a void
/// filter.
fn must(collections: &[CollectionId], filter: &Filter) -> EdgeFilter {
    let any = |field, ids: Vec<String>| {
        let any = MatchAny { any: AnyVariants::Strings(ids.into_iter().collect()) };
        Condition::Field(FieldCondition::new_match(path(field), Match::Any(any)))
    };
    let collection = any("collection", collections.iter().map(ToString::to_string).collect());
    let document = filter.documents.as_ref().map(|ids| any("document", ids.iter().map(ToString::to_string).collect()));
    EdgeFilter { must: Some(std::iter::once(collection).chain(document).collect()), ..EdgeFilter::new() }
}

fn near(dense: &[f32], candidates: usize, filter: EdgeFilter) -> QueryRequest {
    // Four times the candidates keeps the graph's answer close to the exact one also under a filter.
    let params = SearchParams { hnsw_ef: Some(candidates.max(64) * 4), ..SearchParams::default() };
    branch(VectorInternal::Dense(dense.to_vec()), DENSE, candidates, filter, params)
}

fn alike(sparse: &SparseVector, candidates: usize, filter: EdgeFilter, corpus: EdgeFilter) -> QueryRequest {
    let idf = Some(IdfParams::Corpus(IdfCorpusParams { corpus }));
    let params = SearchParams { idf, ..SearchParams::default() };
    let SparseVector { indices, values } = sparse.clone();
    let sparse = qdrant_edge::SparseVector { indices, values };
    branch(VectorInternal::Sparse(sparse), SPARSE, candidates, filter, params)
}

fn branch(vector: VectorInternal, using: &str, limit: usize, filter: EdgeFilter, params: SearchParams) -> QueryRequest {
    QueryRequestBuilder::new(limit)
        .query(ScoringQuery::Vector(QueryEnum::Nearest(NamedQuery::new(vector, using))))
        .filter(filter)
        .params(params)
        .with_payload(WithPayloadInterface::Bool(true))
        .build()
}

fn stored(point: Point) -> Result<PointStruct, OperationError> {
    let payload = serde_json::to_value(Payload::of(&point))?;
    let mut vectors = NamedVectors::default().add_vector(DENSE, point.dense);
    // Without words there is no vector, so that the point does not count among those with words.
    if !point.sparse.indices.is_empty() {
        vectors = vectors.add_vector(SPARSE, Vector::new_sparse(point.sparse.indices, point.sparse.values)?);
    }
    Ok(PointStruct::new(PointId::Uuid(point.id), vectors, payload))
}

fn candidate(point: &ScoredPoint) -> Option<Candidate> {
    let payload = point.payload.as_ref().map(|payload| payload.0.clone());
    Some(Candidate { point: point_ref(&point.id, payload)?, score: point.score })
}

fn point_ref(id: &PointId, payload: Option<serde_json::Map<String, serde_json::Value>>) -> Option<PointRef> {
    let PointId::Uuid(id) = *id else { return None };
    let payload: Payload = serde_json::from_value(serde_json::Value::Object(payload?)).ok()?;
    Some(payload.at(id))
}
