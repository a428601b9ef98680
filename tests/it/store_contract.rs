//! The laws of a store, one list for all backends: in memory and Qdrant Edge always, a Qdrant
//! server where `QDRANT_URL` (and, if it wants one, `QDRANT_API_KEY`) names one.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use premise::sparse::{embed_passage, embed_question};
use premise::store::edge::EdgeStore;
use premise::store::memory::MemoryStore;
use premise::store::server::ServerStore;
use premise::store::{
    CollectionId, DocumentId, Filter, Hit, HybridQuery, Point, PointRef, Scope, SparseVector, Store, StoreError,
};
use uuid::Uuid;

const DIM: usize = 8;

macro_rules! laws {
    ($($law:ident),* $(,)?) => {
        mod memory { $(
            #[tokio::test]
            async fn $law() {
                super::$law(&super::MemoryStore::new(super::DIM)).await;
            }
        )* }
        mod edge { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let folder = tempfile::tempdir().unwrap();
                let store = super::EdgeStore::open(folder.path(), super::DIM).unwrap();
                super::Store::ensure_schema(&store).await.unwrap();
                super::$law(&store).await;
            }
        )* }
        mod server { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let Some(store) = super::server().await else { return };
                let outcome = super::AssertUnwindSafe(super::$law(&store));
                let outcome = super::FutureExt::catch_unwind(outcome).await;
                store.drop_qdrant_collection().await.unwrap();
                outcome.unwrap();
            }
        )* }
    };
}

laws! {
    what_is_written_is_found,
    a_point_of_the_same_id_is_replaced,
    a_scope_is_a_wall_for_hits_counts_and_scores,
    a_scope_may_have_many_collections,
    a_filter_narrows_and_moves_no_score,
    nothing_is_found_where_there_is_nothing,
    deleting_takes_what_is_named_and_nothing_else,
    bad_vectors_are_refused_and_change_nothing,
    scrolling_visits_each_point_once,
    rankings_are_those_of_the_exact_store,
    maintenance_changes_no_answer,
    writers_and_readers_do_not_disturb_each_other,
}

async fn server() -> Option<ServerStore> {
    let Ok(url) = std::env::var("QDRANT_URL") else {
        eprintln!("skipped: QDRANT_URL names no Qdrant server");
        return None;
    };
    let api_key = std::env::var("QDRANT_API_KEY").ok();
    let name = format!("premise-test-{}", Uuid::new_v4());
    let store = ServerStore::connect(&url, api_key.as_deref(), &name, DIM).unwrap();
    store.ensure_schema().await.unwrap();
    store.ensure_schema().await.expect("a second time is as good");
    Some(store)
}

async fn what_is_written_is_found(store: &dyn Store) {
    let lease = point(1, 1, 0, "The tenant pays the rent on the first of each month.");
    let note = point(1, 2, 3, "Type 2 diabetes, ICD-10 E11.9, metformin.");
    store.upsert(vec![lease.clone(), note.clone()]).await.unwrap();
    store.flush().await.unwrap();

    let hits = store.hybrid(&scope(&[1]), near(&lease)).await.unwrap();
    assert_eq!(ids(&hits), [lease.id, note.id]);
    assert!((hits[0].dense_score.unwrap() - 1.0).abs() < 1e-6, "cosine to itself");
    assert_eq!((hits[0].dense_rank, hits[0].sparse_rank), (Some(1), None));
    assert_eq!((hits[0].collection, hits[0].document, hits[0].chunk), (lease.collection, lease.document, 0));

    let hits = store.hybrid(&scope(&[1]), about("code E11.9")).await.unwrap();
    assert_eq!(ids(&hits), [note.id]);
    assert_eq!((hits[0].dense_rank, hits[0].sparse_rank, hits[0].chunk), (None, Some(1), 3));

    let both = HybridQuery { sparse: about("metformin").sparse, ..near(&lease) };
    let hits = store.hybrid(&scope(&[1]), both).await.unwrap();
    assert_eq!(ids(&hits), [note.id, lease.id], "second by meaning and first by words beats first by meaning");
    assert_eq!((hits[0].dense_rank, hits[0].sparse_rank), (Some(2), Some(1)));

    let (points, _) = store.scroll(&scope(&[1]), &Filter::default(), None, 10).await.unwrap();
    assert_eq!(sorted(&points), sorted(&[reference(&lease), reference(&note)]));
    assert_eq!(store.maintenance_collections().await.unwrap(), [collection(1)]);
}

async fn a_point_of_the_same_id_is_replaced(store: &dyn Store) {
    let old = point(1, 1, 0, "rent");
    let new = Point { id: old.id, ..point(1, 2, 7, "insurance") };
    let wordless = Point { sparse: SparseVector::default(), ..new.clone() };
    store.upsert(vec![old]).await.unwrap();
    store.upsert(vec![new.clone()]).await.unwrap();
    assert_eq!(store.count(&scope(&[1]), &Filter::default()).await.unwrap(), 1);
    assert_eq!(store.count_by_document(&scope(&[1])).await.unwrap(), HashMap::from([(document(2), 1)]));
    assert!(store.hybrid(&scope(&[1]), about("rent")).await.unwrap().is_empty());
    assert_eq!(store.hybrid(&scope(&[1]), about("insurance")).await.unwrap()[0].chunk, 7);

    store.upsert(vec![wordless]).await.unwrap();
    assert!(store.hybrid(&scope(&[1]), about("insurance")).await.unwrap().is_empty());
    assert_eq!(ids(&store.hybrid(&scope(&[1]), near(&new)).await.unwrap()), [new.id]);
}

async fn a_scope_is_a_wall_for_hits_counts_and_scores(store: &dyn Store) {
    let mut random = Random(1);
    store.upsert((0..40).map(|n| random.point(1, n)).collect()).await.unwrap();
    let mine = scope(&[1, 99]);
    let queries: Vec<_> = (0..10).map(|_| random.query()).collect();
    let before = seen(store, &mine, &queries).await;

    // The same words, and the same documents' ids, behind the wall.
    store.upsert((0..300).map(|n| random.point(2, n)).collect()).await.unwrap();
    assert_same(&before, &seen(store, &mine, &queries).await);
    assert_eq!(store.count(&scope(&[1, 2]), &Filter::default()).await.unwrap(), 340);
    assert_eq!(
        store.maintenance_collections().await.unwrap().into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([collection(1), collection(2)])
    );

    store.delete(collection(2), Filter::default()).await.unwrap();
    assert_same(&before, &seen(store, &mine, &queries).await);
}

async fn a_scope_may_have_many_collections(store: &dyn Store) {
    let mut random = Random(2);
    store.upsert((0..600).map(|n| random.point(n, n)).collect()).await.unwrap();
    let even = scope(&(0..600).filter(|n| n % 2 == 0).collect::<Vec<_>>());
    assert_eq!(store.count(&even, &Filter::default()).await.unwrap(), 300);
    let query = HybridQuery { candidates: 600, limit: 600, ..random.query() };
    let hits = store.hybrid(&even, query).await.unwrap();
    assert_eq!(hits.len(), 300);
    assert!(hits.iter().all(|hit| even.contains(hit.collection)));
}

async fn a_filter_narrows_and_moves_no_score(store: &dyn Store) {
    let mut random = Random(3);
    store.upsert((0..200).map(|n| random.point(1, n)).collect()).await.unwrap();
    let query = HybridQuery { candidates: 200, limit: 200, ..random.query() };
    let all = store.hybrid(&scope(&[1]), query.clone()).await.unwrap();
    let filter = Filter::documents([document(3), document(4)]);
    let narrow = store.hybrid(&scope(&[1]), HybridQuery { filter: filter.clone(), ..query }).await.unwrap();
    let expected: BTreeSet<_> =
        all.iter().filter(|hit| [document(3), document(4)].contains(&hit.document)).map(|hit| hit.id).collect();
    assert_eq!(narrow.iter().map(|hit| hit.id).collect::<BTreeSet<_>>(), expected);
    assert_eq!(store.count(&scope(&[1]), &filter).await.unwrap(), expected.len() as u64);
    for hit in narrow {
        let wide = all.iter().find(|wide| wide.id == hit.id).unwrap();
        assert_close(wide.dense_score, hit.dense_score);
        assert_close(wide.sparse_score, hit.sparse_score);
    }
}

async fn nothing_is_found_where_there_is_nothing(store: &dyn Store) {
    async fn check(store: &dyn Store, scope: &Scope, filter: Filter) {
        let query = HybridQuery { filter: filter.clone(), ..both(&point(1, 1, 0, "rent"), "rent") };
        assert!(store.hybrid(scope, query).await.unwrap().is_empty());
        assert_eq!(store.count(scope, &filter).await.unwrap(), 0);
        assert_eq!(store.scroll(scope, &filter, None, 10).await.unwrap(), (vec![], None));
    }
    assert_eq!(Scope::new([]), None);
    check(store, &scope(&[1]), Filter::default()).await;
    assert!(store.maintenance_collections().await.unwrap().is_empty());

    store.upsert(vec![point(1, 1, 0, "rent")]).await.unwrap();
    check(store, &scope(&[2]), Filter::default()).await;
    check(store, &scope(&[1]), Filter::documents([])).await;
    check(store, &scope(&[1]), Filter::documents([document(2)])).await;
    assert!(store.count_by_document(&scope(&[2])).await.unwrap().is_empty());

    let asked = both(&point(1, 1, 0, "rent"), "rent");
    for query in [
        HybridQuery { dense: None, sparse: None, ..asked.clone() },
        HybridQuery { limit: 0, ..asked.clone() },
        HybridQuery { dense: None, ..both(&point(1, 1, 0, "rent"), "what is the") },
        HybridQuery { dense: None, ..both(&point(1, 1, 0, "rent"), "unheard") },
    ] {
        assert!(store.hybrid(&scope(&[1]), query).await.unwrap().is_empty());
    }
    store.upsert(vec![]).await.unwrap();
}

async fn deleting_takes_what_is_named_and_nothing_else(store: &dyn Store) {
    let chunks = |c, d| (0..3).map(move |n| point(c, d, n, "rent"));
    let points = chunks(1, 1).chain(chunks(1, 2)).chain(chunks(2, 1)).chain(chunks(2, 3));
    store.upsert(points.collect()).await.unwrap();
    let both = scope(&[1, 2]);

    store.delete(collection(1), Filter::documents([])).await.unwrap();
    store.delete(collection(1), Filter::documents([document(3)])).await.unwrap();
    store.delete(collection(9), Filter::default()).await.unwrap();
    assert_eq!(store.count(&both, &Filter::default()).await.unwrap(), 12);

    store.delete(collection(1), Filter::documents([document(1)])).await.unwrap();
    let counts = store.count_by_document(&both).await.unwrap();
    assert_eq!(counts, HashMap::from([(document(2), 3), (document(1), 3), (document(3), 3)]));
    assert_eq!(store.hybrid(&both, about("rent")).await.unwrap().len(), 9);

    store.delete(collection(2), Filter::default()).await.unwrap();
    assert_eq!(store.count_by_document(&both).await.unwrap(), HashMap::from([(document(2), 3)]));
    assert_eq!(store.maintenance_collections().await.unwrap(), [collection(1)]);
}

async fn bad_vectors_are_refused_and_change_nothing(store: &dyn Store) {
    let good = point(1, 1, 0, "rent");
    let dense = [vec![], vec![1.0; DIM + 1], vec![0.0; DIM], vec![f32::NAN; DIM], vec![f32::INFINITY; DIM]];
    let sparse = [
        (vec![2, 1], vec![1.0, 1.0]),
        (vec![1, 1], vec![1.0, 1.0]),
        (vec![1], vec![1.0, 1.0]),
        (vec![1], vec![f32::NAN]),
        (vec![1], vec![0.0]),
    ];
    let sparse = sparse.map(|(indices, values)| SparseVector { indices, values });
    let bad_dense = dense.into_iter().map(|dense| Point { dense, ..point(1, 1, 1, "rent") });
    let bad_sparse = sparse.into_iter().map(|sparse| Point { sparse, ..point(1, 1, 1, "rent") });
    for bad in bad_dense.chain(bad_sparse) {
        let asked = HybridQuery { sparse: Some(bad.sparse.clone()), ..near(&bad) };
        let refused = store.hybrid(&scope(&[1]), asked).await.unwrap_err();
        assert!(matches!(refused, StoreError::BadVector { .. }), "{refused}");
        let refused = store.upsert(vec![good.clone(), bad]).await.unwrap_err();
        assert!(matches!(refused, StoreError::BadVector { .. }), "{refused}");
    }
    assert_eq!(store.count(&scope(&[1]), &Filter::default()).await.unwrap(), 0);
}

async fn scrolling_visits_each_point_once(store: &dyn Store) {
    let mut random = Random(4);
    let mut points: Vec<_> = (0..50).map(|n| random.point(n % 3, n)).collect();
    points[0].id = Uuid::nil();
    points[3].id = Uuid::max();
    store.upsert(points.clone()).await.unwrap();
    for (filter, limit) in [(Filter::default(), 7), (Filter::default(), 100), (Filter::documents([document(2)]), 1)] {
        let mut expected: Vec<_> = points
            .iter()
            .filter(|point| point.collection != collection(1))
            .filter(|point| filter.documents.as_ref().is_none_or(|documents| documents.contains(&point.document)))
            .map(reference)
            .collect();
        expected.sort_by_key(|point| point.id);
        let (mut visited, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = store.scroll(&scope(&[0, 2]), &filter, after, limit).await.unwrap();
            assert!(page.len() <= limit);
            visited.extend(page);
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(visited, expected);
    }
    let end = store.scroll(&scope(&[0]), &Filter::default(), Some(Uuid::max()), 10).await.unwrap();
    assert_eq!(end, (vec![], None));
}

async fn rankings_are_those_of_the_exact_store(store: &dyn Store) {
    let mut random = Random(5);
    let points: Vec<_> = (0..1200).map(|n| random.point(n % 3, n)).collect();
    let exact = MemoryStore::new(DIM);
    exact.upsert(points.clone()).await.unwrap();
    store.upsert(points).await.unwrap();
    for of in [&[1_u32][..], &[0, 2], &[0, 1, 2]] {
        let queries: Vec<_> = (0..10).map(|_| random.query()).collect();
        assert_same(&seen(&exact, &scope(of), &queries).await, &seen(store, &scope(of), &queries).await);
    }
}

async fn maintenance_changes_no_answer(store: &dyn Store) {
    let mut random = Random(6);
    store.upsert((0..600).map(|n| random.point(n % 2, n)).collect()).await.unwrap();
    store.delete(collection(0), Filter::documents([document(0), document(2), document(4)])).await.unwrap();
    let queries: Vec<_> = (0..10).map(|_| random.query()).collect();
    let before = seen(store, &scope(&[0, 1]), &queries).await;
    store.maintain().await.unwrap();
    assert_same(&before, &seen(store, &scope(&[0, 1]), &queries).await);
}

async fn writers_and_readers_do_not_disturb_each_other(store: &dyn Store) {
    let write = |c: u32| async move {
        let mut random = Random(u64::from(c));
        for round in 0..20 {
            let points = (0..20).map(|n| random.point(c, round * 20 + n)).collect();
            store.upsert(points).await.unwrap();
        }
        store.flush().await.unwrap();
    };
    let read = async {
        let mut random = Random(7);
        for _ in 0..60 {
            let hits = store.hybrid(&scope(&[1]), random.query()).await.unwrap();
            assert!(hits.iter().all(|hit| hit.collection == collection(1)));
            store.count_by_document(&scope(&[1, 2])).await.unwrap();
        }
    };
    tokio::join!(write(1), write(2), read, async { store.maintain().await.unwrap() });
    assert_eq!(store.count(&scope(&[1, 2]), &Filter::default()).await.unwrap(), 800);
}

#[tokio::test]
async fn an_edge_store_opened_again_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(8);
    let queries: Vec<_> = (0..5).map(|_| random.query()).collect();
    let store = EdgeStore::open(folder.path(), DIM).unwrap();
    store.ensure_schema().await.unwrap();
    store.upsert((0..300).map(|n| random.point(1, n)).collect()).await.unwrap();
    store.delete(collection(1), Filter::documents([document(1)])).await.unwrap();
    let before = seen(&store, &scope(&[1]), &queries).await;
    drop(store);

    for _ in 0..2 {
        let store = EdgeStore::open(folder.path(), DIM).unwrap();
        store.ensure_schema().await.unwrap();
        assert_same(&before, &seen(&store, &scope(&[1]), &queries).await);
    }
}

#[tokio::test]
async fn an_edge_folder_of_another_model_or_in_use_is_refused_and_not_harmed() {
    let folder = tempfile::tempdir().unwrap();
    let store = EdgeStore::open(folder.path(), DIM).unwrap();
    store.ensure_schema().await.unwrap();
    store.upsert(vec![point(1, 1, 0, "rent")]).await.unwrap();
    let second = EdgeStore::open(folder.path(), DIM).err().unwrap();
    assert!(matches!(second, StoreError::InUse { .. }), "{second}");
    store.upsert(vec![point(1, 1, 1, "rent")]).await.unwrap();
    drop(store);

    let other = EdgeStore::open(folder.path(), DIM * 2).err().unwrap();
    assert!(matches!(other, StoreError::WrongSchema { .. }), "{other}");
    let store = EdgeStore::open(folder.path(), DIM).unwrap();
    assert_eq!(store.count(&scope(&[1]), &Filter::default()).await.unwrap(), 2);
}

fn collection(n: u32) -> CollectionId {
    CollectionId(Uuid::from_u128(0xc000_0000 + u128::from(n)))
}

fn document(n: u32) -> DocumentId {
    DocumentId(Uuid::from_u128(0xd000_0000 + u128::from(n)))
}

fn scope(collections: &[u32]) -> Scope {
    Scope::new(collections.iter().map(|n| collection(*n))).unwrap()
}

/// A chunk whose meaning is its numbers'.
fn point(c: u32, d: u32, chunk: u32, text: &str) -> Point {
    let seed = u64::from(c) << 40 | u64::from(d) << 20 | u64::from(chunk);
    let mut random = Random(seed);
    Point {
        id: random.uuid(),
        collection: collection(c),
        document: document(d),
        chunk,
        page_start: chunk + 1,
        page_end: chunk + 2,
        dense: random.dense(),
        sparse: embed_passage(text),
    }
}

fn reference(point: &Point) -> PointRef {
    let Point { id, collection, document, chunk, page_start, page_end, .. } = *point;
    PointRef { id, collection, document, chunk, page_start, page_end }
}

fn near(point: &Point) -> HybridQuery {
    HybridQuery { dense: Some(point.dense.clone()), ..HybridQuery::default() }
}

fn about(text: &str) -> HybridQuery {
    HybridQuery { sparse: Some(embed_question(text)), ..HybridQuery::default() }
}

fn both(point: &Point, text: &str) -> HybridQuery {
    HybridQuery { sparse: about(text).sparse, ..near(point) }
}

fn ids(hits: &[Hit]) -> Vec<Uuid> {
    hits.iter().map(|hit| hit.id).collect()
}

fn sorted(points: &[PointRef]) -> Vec<PointRef> {
    let mut points = points.to_vec();
    points.sort_by_key(|point| point.id);
    points
}

/// All that a caller can learn of a store.
#[derive(Debug)]
struct Seen {
    hits: Vec<Vec<Hit>>,
    count: u64,
    by_document: HashMap<DocumentId, u64>,
    points: Vec<PointRef>,
}

async fn seen(store: &dyn Store, scope: &Scope, queries: &[HybridQuery]) -> Seen {
    let mut hits = Vec::new();
    for query in queries {
        hits.push(store.hybrid(scope, query.clone()).await.unwrap());
    }
    let all = Filter::default();
    Seen {
        hits,
        count: store.count(scope, &all).await.unwrap(),
        by_document: store.count_by_document(scope).await.unwrap(),
        points: store.scroll(scope, &all, None, 10_000).await.unwrap().0,
    }
}

#[track_caller]
fn assert_same(a: &Seen, b: &Seen) {
    assert_eq!((a.count, &a.by_document, &a.points), (b.count, &b.by_document, &b.points));
    assert!(a.hits.iter().all(|hits| !hits.is_empty()), "the queries find something");
    for (a, b) in a.hits.iter().zip(&b.hits) {
        assert_eq!(ids(a), ids(b));
        for (a, b) in a.iter().zip(b) {
            assert_eq!((a.score, a.dense_rank, a.sparse_rank), (b.score, b.dense_rank, b.sparse_rank));
            assert_close(a.dense_score, b.dense_score);
            assert_close(a.sparse_score, b.sparse_score);
        }
    }
}

#[track_caller]
fn assert_close(a: Option<f32>, b: Option<f32>) {
    let is_close = a.is_some() == b.is_some() && a.zip(b).is_none_or(|(a, b)| (a - b).abs() <= 1e-6 * a.abs().max(1.0));
    assert!(is_close, "{a:?} and {b:?}");
}

/// `SplitMix64` (Steele, Lea and Flood, 2014): the same data in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, n: u32) -> u32 {
        (self.next() % u64::from(n)) as u32
    }

    /// Above 0, up to 1.
    fn weight(&mut self) -> f32 {
        (self.below(1 << 20) + 1) as f32 / (1 << 20) as f32
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }

    fn dense(&mut self) -> Vec<f32> {
        (0..DIM).map(|_| self.weight() - 0.5).collect()
    }

    /// Up to 8 of 40 terms, the first ones the commonest; sometimes none.
    fn sparse(&mut self, max_terms: u32) -> SparseVector {
        let count = self.below(max_terms + 1);
        let terms: BTreeSet<_> = (0..count).map(|_| self.below(40).min(self.below(40))).collect();
        let values = terms.iter().map(|_| self.weight()).collect();
        SparseVector { indices: terms.into_iter().collect(), values }
    }

    /// One of ten documents of the collection.
    fn point(&mut self, c: u32, n: u32) -> Point {
        let text_free = point(c, n % 10, n, "");
        Point { id: self.uuid(), dense: self.dense(), sparse: self.sparse(8), ..text_free }
    }

    fn query(&mut self) -> HybridQuery {
        HybridQuery {
            dense: Some(self.dense()),
            sparse: Some(self.sparse(5)),
            candidates: 30,
            limit: 20,
            ..HybridQuery::default()
        }
    }
}
