//! A Qdrant server, reached over gRPC: for an index that several processes share. The only file
//! that knows its client.

use std::collections::HashMap;
use std::time::Duration;

use qdrant_client::qdrant::facet_value::Variant;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionInfo, Condition, CountPointsBuilder, CreateCollectionBuilder, CreateFieldIndexCollectionBuilder,
    DeletePointsBuilder, Distance, FacetCountsBuilder, FieldType, Filter as ServerFilter, IdfParamsBuilder,
    KeywordIndexParamsBuilder, Modifier, NamedVectors, PointId, PointStruct, QueryBatchPointsBuilder, QueryPoints,
    QueryPointsBuilder, ScrollPointsBuilder, SearchParamsBuilder, SparseVectorParamsBuilder,
    SparseVectorsConfigBuilder, UpsertPointsBuilder, Value, Vector, VectorParamsBuilder, VectorsConfigBuilder,
};
use qdrant_client::{Qdrant, QdrantError};
use uuid::Uuid;

use super::{
    Candidate, CollectionId, DocumentId, Filter, Hit, HybridQuery, Payload, Point, PointRef, Result, Scope,
    SparseVector, Store, StoreError, check_points, check_query, fuse_rrf,
};

const DENSE: &str = "dense";
const SPARSE: &str = "bm25";

/// Points in one request: about 1 MB at 384 dimensions; the server takes 32 MB.
const BATCH: usize = 500;

/// See the module.
pub struct ServerStore {
    client: Qdrant,
    url: String,
    /// The server's collection. One holds all of ours: a collection of ours is a payload field in
    /// it.
    qdrant_collection: String,
    dim: usize,
}

impl ServerStore {
    /// A store at `url` (`http://host:6334`, the gRPC port), in the server's collection of the
    /// given name, for vectors of `dim` dimensions. Connects at the first call, so a wrong address
    /// shows at [`Store::ensure_schema`].
    pub fn connect(url: &str, api_key: Option<&str>, qdrant_collection: &str, dim: usize) -> Result<Self> {
        let client = Qdrant::from_url(url)
            .api_key(api_key)
            .connect_timeout(Duration::from_secs(5))
            // Deletes and exact counts over millions of points take seconds.
            .timeout(Duration::from_mins(1))
            // That check prints to stdout; ours is in `ensure_schema`.
            .skip_compatibility_check()
            .build()
            .map_err(|error| StoreError::of("connect", format!("the Qdrant server at {url}"), error))?;
        Ok(Self { client, url: url.to_owned(), qdrant_collection: qdrant_collection.to_owned(), dim })
    }

    /// Deletes the whole server collection, of all of ours: for an index that was built beside
    /// another and lost.
    pub async fn drop_qdrant_collection(&self) -> Result<()> {
        self.client.delete_collection(&*self.qdrant_collection).await.map_err(self.failed("delete the index"))?;
        Ok(())
    }

    fn name(&self) -> String {
        format!("the Qdrant server at {}, collection {}", self.url, self.qdrant_collection)
    }

    fn failed(&self, doing: &'static str) -> impl Fn(QdrantError) -> StoreError {
        move |error| {
            let store = self.name();
            if is_unreachable(&error) {
                StoreError::Unreachable { doing, store, source: error.into() }
            } else {
                StoreError::of(doing, store, error)
            }
        }
    }

    fn unreadable(&self, doing: &'static str) -> StoreError {
        StoreError::of(doing, self.name(), "a point has no readable id or payload")
    }

    fn wrong(&self, found: String, expected: String) -> StoreError {
        StoreError::WrongSchema { store: self.name(), found, expected }
    }

    async fn check_version(&self) -> Result<()> {
        let version = self.client.health_check().await.map_err(self.failed("ask for the version"))?.version;
        if idf_respects_corpus(&version) {
            return Ok(());
        }
        let expected = "1.19 or later: before, the rarity of a word leaks between collections".to_owned();
        Err(self.wrong(format!("version {version}"), expected))
    }

    async fn create(&self) -> Result<()> {
        let mut dense = VectorsConfigBuilder::default();
        dense.add_named_vector_params(DENSE, VectorParamsBuilder::new(self.dim as u64, Distance::Cosine));
        let mut sparse = SparseVectorsConfigBuilder::default();
        sparse.add_named_vector_params(SPARSE, SparseVectorParamsBuilder::default().modifier(Modifier::Idf));
        let create = CreateCollectionBuilder::new(&self.qdrant_collection)
            .vectors_config(dense)
            .sparse_vectors_config(sparse)
            // The rarity of words is counted by shard, so with more than one a score would depend
            // on the others.
            .shard_number(1);
        self.client.create_collection(create).await.map_err(self.failed("create the index"))?;
        Ok(())
    }

    fn check_schema(&self, info: CollectionInfo) -> Result<()> {
        let params = info.config.and_then(|config| config.params);
        let size = params.as_ref().and_then(|params| match params.vectors_config.as_ref()?.config.as_ref()? {
            Config::ParamsMap(vectors) => vectors.map.get(DENSE).map(|vector| vector.size),
            Config::Params(_) => None,
        });
        let idf = params
            .and_then(|params| params.sparse_vectors_config)
            .and_then(|sparse| sparse.map.get(SPARSE)?.modifier)
            .is_some_and(|modifier| modifier == i32::from(Modifier::Idf));
        let found = match size {
            Some(size) if size == self.dim as u64 && idf => return Ok(()),
            Some(size) if idf => format!("vectors of {size} dimensions"),
            _ => format!("no vectors `{DENSE}` and `{SPARSE}`"),
        };
        Err(self.wrong(found, format!("vectors of {} dimensions", self.dim)))
    }

    async fn facet(&self, doing: &'static str, field: &str, filter: Option<ServerFilter>) -> Result<Vec<(Uuid, u64)>> {
        let mut request = FacetCountsBuilder::new(&self.qdrant_collection, field).limit(FACET_LIMIT).exact(true);
        if let Some(filter) = filter {
            request = request.filter(filter);
        }
        let hits = self.client.facet(request).await.map_err(self.failed(doing))?.hits;
        let id = |value| match value {
            Some(Variant::StringValue(id)) => Uuid::parse_str(&id).ok(),
            _ => None,
        };
        Ok(hits.into_iter().filter_map(|hit| Some((id(hit.value?.variant)?, hit.count))).collect())
    }
}

/// More documents than one index is meant for.
const FACET_LIMIT: u64 = 10_000_000;

#[async_trait::async_trait]
impl Store for ServerStore {
    async fn ensure_schema(&self) -> Result<()> {
        self.check_version().await?;
        let exists = self.client.collection_exists(&*self.qdrant_collection).await;
        if !exists.map_err(self.failed("look for the index"))? {
            self.create().await?;
        }
        let info =
            self.client.collection_info(&*self.qdrant_collection).await.map_err(self.failed("read the schema"))?;
        self.check_schema(info.result.unwrap_or_default())?;
        for (field, is_tenant) in [("collection", true), ("document", false)] {
            let index = CreateFieldIndexCollectionBuilder::new(&self.qdrant_collection, field, FieldType::Keyword)
                .field_index_params(KeywordIndexParamsBuilder::default().is_tenant(is_tenant))
                .wait(true);
            self.client.create_field_index(index).await.map_err(self.failed("index the fields of points"))?;
        }
        Ok(())
    }

    /// The server has written the points to its log when this returns.
    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        check_points(&points, self.dim)?;
        let mut points = points.into_iter();
        loop {
            let batch: Vec<_> = points.by_ref().take(BATCH).map(stored).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let request = UpsertPointsBuilder::new(&self.qdrant_collection, batch).wait(true);
            self.client.upsert_points(request).await.map_err(self.failed("write points"))?;
        }
    }

    /// Nothing is left to do: the server flushes on its own, and replays its log after a crash.
    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, collection: CollectionId, filter: Filter) -> Result<()> {
        if filter.is_void() {
            return Ok(());
        }
        let request = DeletePointsBuilder::new(&self.qdrant_collection).points(must(&[collection], &filter)).wait(true);
        self.client.delete_points(request).await.map_err(self.failed("delete points"))?;
        Ok(())
    }

    async fn hybrid(&self, scope: &Scope, query: HybridQuery) -> Result<Vec<Hit>> {
        const DOING: &str = "search";
        let (dense, sparse) = check_query(&query, self.dim)?;
        let branches = (dense.is_some(), sparse.is_some());
        let dense = dense.map(|dense| self.near(dense, scope, &query));
        let sparse = sparse.map(|sparse| self.alike(sparse, scope, &query));
        let queries: Vec<_> = dense.into_iter().chain(sparse).collect();
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let batch = QueryBatchPointsBuilder::new(&self.qdrant_collection, queries);
        let mut found = self.client.query_batch(batch).await.map_err(self.failed(DOING))?.result.into_iter();
        let mut next = |searched: bool| -> Result<Vec<Candidate>> {
            let points = if searched { found.next() } else { None }.map(|batch| batch.result).into_iter().flatten();
            let candidate = |id, payload, score| Some(Candidate { point: point_ref(id, payload)?, score });
            points
                .map(|point| candidate(point.id, point.payload, point.score).ok_or_else(|| self.unreadable(DOING)))
                .collect()
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
        // The server starts a page at an id, we start after one.
        let start = after.map(|after| after.as_u128().checked_add(1));
        if filter.is_void() || limit == 0 || start == Some(None) {
            return Ok((Vec::new(), None));
        }
        let mut request = ScrollPointsBuilder::new(&self.qdrant_collection)
            .limit(u32::try_from(limit).unwrap_or(u32::MAX))
            .filter(must(scope.collections(), filter))
            .with_payload(true);
        if let Some(start) = start.flatten() {
            request = request.offset(id(Uuid::from_u128(start)));
        }
        let page = self.client.scroll(request).await.map_err(self.failed(DOING))?;
        let points = page
            .result
            .into_iter()
            .map(|point| point_ref(point.id, point.payload).ok_or_else(|| self.unreadable(DOING)))
            .collect::<Result<Vec<_>>>()?;
        let next = page.next_page_offset.and(points.last()).map(|last| last.id);
        Ok((points, next))
    }

    async fn count(&self, scope: &Scope, filter: &Filter) -> Result<u64> {
        if filter.is_void() {
            return Ok(0);
        }
        let request =
            CountPointsBuilder::new(&self.qdrant_collection).filter(must(scope.collections(), filter)).exact(true);
        let count = self.client.count(request).await.map_err(self.failed("count points"))?;
        Ok(count.result.map_or(0, |result| result.count))
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

    /// Nothing: the server optimises on its own.
    async fn maintain(&self) -> Result<()> {
        Ok(())
    }

    fn describe(&self) -> String {
        self.name()
    }
}

impl ServerStore {
    fn near(&self, dense: &[f32], scope: &Scope, query: &HybridQuery) -> QueryPoints {
        // Twice the candidates keeps the graph's answer close to the exact one also under a filter.
        let params = SearchParamsBuilder::default().hnsw_ef(query.candidates.max(64) as u64 * 2);
        self.branch(scope, query).query(dense.to_vec()).using(DENSE).params(params).build()
    }

    fn alike(&self, sparse: &SparseVector, scope: &Scope, query: &HybridQuery) -> QueryPoints {
        let corpus = must(scope.collections(), &Filter::default());
        let params = SearchParamsBuilder::default().idf(IdfParamsBuilder::new().corpus(corpus));
        self.branch(scope, query).query(pairs(sparse)).using(SPARSE).params(params).build()
    }

    fn branch(&self, scope: &Scope, query: &HybridQuery) -> QueryPointsBuilder {
        QueryPointsBuilder::new(&self.qdrant_collection)
            .filter(must(scope.collections(), &query.filter))
            .limit(query.candidates as u64)
            .with_payload(true)
    }
}

/// No answer in time (`DEADLINE_EXCEEDED`, 4), no connection (`UNAVAILABLE`, 14), one that broke,
/// or one that the client could not make (which it calls internal).
fn is_unreachable(error: &QdrantError) -> bool {
    match error {
        QdrantError::ResponseError { status } => {
            let message = status.message();
            matches!(i32::from(status.code()), 4 | 14)
                || message.contains("transport error")
                || message.starts_with("Failed to connect")
        }
        QdrantError::Io(_) => true,
        _ => false,
    }
}

/// `SearchParams.idf` came with 1.19; an older server would ignore it.
fn idf_respects_corpus(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let version = (parts.next().flatten(), parts.next().flatten());
    version >= (Some(1), Some(19))
}

/// Only points of these collections, and of these documents if the filter names any. Not for a void
/// filter.
fn must(collections: &[CollectionId], filter: &Filter) -> ServerFilter {
    let any = |field, ids: Vec<String>| Condition::matches(field, ids);
    let collection = any("collection", collections.iter().map(ToString::to_string).collect());
    let document = filter.documents.as_ref().map(|ids| any("document", ids.iter().map(ToString::to_string).collect()));
    ServerFilter::must(std::iter::once(collection).chain(document))
}

fn stored(point: Point) -> PointStruct {
    let payload = serde_json::to_value(Payload::of(&point)).expect("ids and numbers make JSON");
    let payload = qdrant_client::Payload::try_from(payload).expect("a struct makes a JSON object");
    let mut vectors = NamedVectors::default().add_vector(DENSE, point.dense);
    // Without words there is no vector, so that the point does not count among those with words.
    if !point.sparse.indices.is_empty() {
        vectors = vectors.add_vector(SPARSE, Vector::from(pairs(&point.sparse)));
    }
    PointStruct::new(id(point.id), vectors, payload)
}

fn pairs(sparse: &SparseVector) -> Vec<(u32, f32)> {
    sparse.indices.iter().copied().zip(sparse.values.iter().copied()).collect()
}

fn id(id: Uuid) -> PointId {
    PointId::from(id.to_string())
}

fn point_ref(id: Option<PointId>, payload: HashMap<String, Value>) -> Option<PointRef> {
    let PointIdOptions::Uuid(id) = id?.point_id_options? else {
        return None;
    };
    let payload: Payload = qdrant_client::Payload::from(payload).deserialize().ok()?;
    Some(payload.at(Uuid::parse_str(&id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_whose_scores_leak_between_collections_is_told_by_its_version() {
        for (version, respects) in
            [("1.18.3", false), ("1.19.0", true), ("1.20.1-dev", true), ("2.0.0", true), ("", false)]
        {
            assert_eq!(idf_respects_corpus(version), respects, "{version}");
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let store = ServerStore::connect(&url, Some("key"), "premise", 4).unwrap();
        let error = store.ensure_schema().await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
        assert!(error.hint().is_some());
    }
}
