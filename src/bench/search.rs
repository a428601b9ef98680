//! Questions against indexes of 10,000, 100,000 and 1,000,000 chunks: synthetic ones around the chunks of a real set.
//! Each synthetic chunk has sentences of two real ones, and a vector between theirs with noise, so that near ones abound.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use clap::Args;
use premise_ingest::{Chunk, Document, MediaType, Page, PageSpan};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    app,
    config::Settings,
    db::{NewDocument, Origin, Place, document_id, point_id},
    error::{Error, Result},
    eval::{EvalSet, Random, percentile},
    library::{Library, SearchRequest, Stage, Steps},
    sparse,
    store::{CollectionId, Point},
    text,
};

/// Arguments of `premise bench search`.
#[derive(Args)]
pub struct SearchArgs {
    /// A set with docs/ and queries.jsonl, as `premise eval` takes: its texts and questions
    set: PathBuf,
    /// Sizes of the indexes
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [10_000, 100_000])]
    chunks: Vec<usize>,
    /// How many questions are timed, after half as many that warm the caches
    #[arg(long, value_name = "N", default_value_t = 200)]
    queries: usize,
    /// Where the indexes are built; deleted afterwards [default: the temporary folder]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Serialize)]
struct Figures {
    chunks: usize,
    documents: usize,
    build_s: f64,
    /// Whole searches, from the question to the passages.
    p50_ms: f64,
    p95_ms: f64,
    /// Of that, the question's embedding.
    embed_p50_ms: f64,
    /// Both searches of the index.
    index_p50_ms: f64,
    /// The same questions by meaning, compared with every vector in memory, without anything else.
    exact_p50_ms: f64,
    /// Of the ten nearest vectors, the share that the index gives among its first ten.
    recall_at_10: f64,
}

/// Real chunks that synthetic ones are made of.
const BASE: usize = 400;
/// Chunks of a synthetic document: those of a contract of twelve pages.
const PER_DOCUMENT: usize = 36;
/// Documents written at once.
const GROUP: usize = 64;
/// Length of the noise that is added to a vector of length one. Neighbours in the real sets are as far apart.
const NOISE: f32 = 0.6;

pub(crate) async fn run(args: SearchArgs, settings: Settings, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    let set = EvalSet::load(&args.set)?;
    let work = args.work.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new()
        .prefix("premise-bench-")
        .tempdir_in(&work)
        .map_err(|error| Error::io(format_args!("make a folder in {}", work.display()), &error))?;
    let base = Arc::new(base(&set, &folder.path().join("real"), &settings, stop).await?);
    let mut all = Vec::new();
    for &chunks in &args.chunks {
        let path = folder.path().join(chunks.to_string());
        let figures = measure(&set, &base, &path, &settings, chunks, args.queries).await?;
        if !args.json {
            println!(
                "{:>9} chunks: p50 {:.1} ms, p95 {:.1} ms (embedding {:.1}, index {:.1}); exact search {:.1} ms, {:.1} times \
                 the index; recall@10 {:.3}; built in {:.0} s",
                figures.chunks,
                figures.p50_ms,
                figures.p95_ms,
                figures.embed_p50_ms,
                figures.index_p50_ms,
                figures.exact_p50_ms,
                figures.exact_p50_ms / figures.index_p50_ms,
                figures.recall_at_10,
                figures.build_s
            );
        }
        all.push(figures);
    }
    if args.json {
        println!("{}", serde_json::json!({ "set": set.name, "figures": all }));
    }
    Ok(ExitCode::SUCCESS)
}

/// A real chunk with its vector.
struct Real {
    sentences: Vec<String>,
    dense: Vec<f32>,
}

/// Reads the set and embeds chunks spread over it.
async fn base(set: &EvalSet, path: &Path, settings: &Settings, stop: Arc<AtomicBool>) -> Result<Vec<Real>> {
    let (path, docs, settings) = (path.to_owned(), set.docs.clone(), settings.clone());
    blocking(move || {
        std::fs::create_dir_all(&path).map_err(|error| Error::io(format_args!("make {}", path.display()), &error))?;
        let library = app::open_library(&path, &settings)?;
        library.sync("bench", &docs, &stop, &|_| {})?;
        let mut texts = Vec::new();
        let mut documents: Vec<_> = library.db().expected_chunks()?.into_keys().collect();
        documents.sort_unstable();
        for document in documents {
            texts.extend(library.db().chunks_of(document)?.into_iter().map(|chunk| chunk.text));
        }
        let apart = (texts.len() / BASE).max(1);
        texts.into_iter().step_by(apart).take(BASE).map(|text| real(&library, &text)).collect()
    })
    .await
}

fn real(library: &Library, text: &str) -> Result<Real> {
    let passage = text.to_owned();
    let dense = library.embedder_for_questions().run_blocking(move |embedder| embedder.embed_passage(&passage))??;
    let sentences = text::sentences(text).into_iter().map(|range| text[range].trim().to_owned()).collect();
    Ok(Real { sentences, dense })
}

async fn measure(
    set: &EvalSet,
    base: &Arc<Vec<Real>>,
    path: &Path,
    settings: &Settings,
    chunks: usize,
    queries: usize,
) -> Result<Figures> {
    let started = Instant::now();
    let (path, settings, base) = (path.to_owned(), settings.clone(), base.clone());
    let (library, documents, vectors) = blocking(move || fill(&path, &settings, &base, chunks)).await?;
    let library = Arc::new(library);
    let build_s = started.elapsed().as_secs_f64();

    let questions: Vec<&str> =
        set.queries.iter().map(|query| query.question.as_str()).cycle().take(queries + queries / 2).collect();
    let (mut took, mut embed, mut index) = (Vec::new(), Vec::new(), Vec::new());
    for (at, question) in questions.iter().enumerate() {
        let request = SearchRequest { question: (*question).to_owned(), ..SearchRequest::default() };
        let started = Instant::now();
        let (_, trace) = library.search_by(&request, Steps::all()).await?;
        if at >= queries / 2 {
            took.push(started.elapsed().as_secs_f64() * 1000.0);
            embed.push(trace.embed_ms);
            index.push(trace.search_ms);
        }
    }
    let (exact_ms, recall) = against_exact(&library, &questions[..queries.min(40)], &vectors).await?;
    Ok(Figures {
        chunks,
        documents,
        build_s,
        p50_ms: percentile(&took, 0.5),
        p95_ms: percentile(&took, 0.95),
        embed_p50_ms: percentile(&embed, 0.5),
        index_p50_ms: percentile(&index, 0.5),
        exact_p50_ms: percentile(&exact_ms, 0.5),
        recall_at_10: recall,
    })
}

/// All vectors with their chunks, for exact search.
type Vectors = Vec<(Uuid, Vec<f32>)>;

/// A library of that many synthetic chunks, its size in documents, and its vectors.
fn fill(path: &Path, settings: &Settings, base: &[Real], chunks: usize) -> Result<(Library, usize, Vectors)> {
    std::fs::create_dir_all(path).map_err(|error| Error::io(format_args!("make {}", path.display()), &error))?;
    let library = app::open_library(path, settings)?;
    let collection = library.db().ensure_collection("bench")?;
    let mut random = Random(11);
    let mut vectors = Vec::with_capacity(chunks);
    let documents = chunks.div_ceil(PER_DOCUMENT);
    for first in (0..documents).step_by(GROUP) {
        let mut group = Vec::new();
        let mut points = Vec::new();
        for number in first..(first + GROUP).min(documents) {
            let size = PER_DOCUMENT.min(chunks - number * PER_DOCUMENT);
            let (document, new) = synthetic(collection, number, size, base, &mut random);
            vectors.extend(new.iter().map(|point| (point.id, point.dense.clone())));
            group.push(document);
            points.extend(new);
        }
        library.store_for_bench(points)?;
        library.db().put_documents(&group)?;
    }
    library.settle()?;
    Ok((library, documents, vectors))
}

fn synthetic(
    collection: CollectionId,
    number: usize,
    size: usize,
    base: &[Real],
    random: &mut Random,
) -> (NewDocument, Vec<Point>) {
    let sha256 = premise_ingest::hash_bytes(format!("synthetic {number}").as_bytes());
    let id = document_id(collection, &sha256);
    let mut page =
        Page { text: format!("AGREEMENT {number} between Party{number} Inc and Other{number} LLC"), ..empty_page() };
    let mut chunks = Vec::new();
    let mut points = Vec::new();
    for at in 0..size as u32 {
        let (a, b) = (&base[random.below(base.len())], &base[random.below(base.len())]);
        let from = |real: &Real, random: &mut Random| -> Vec<String> {
            real.sentences.iter().filter(|_| random.next() & 1 == 0).cloned().collect()
        };
        let sentences = [from(a, random), from(b, random), vec![format!("Item {number}.{at}.")]].concat();
        let text = sentences.join(" ");
        let start = page.text.len() as u32 + 2;
        page.text.push_str("\n\n");
        page.text.push_str(&text);
        points.push(Point {
            id: point_id(id, at),
            collection,
            document: id,
            chunk: at,
            page_start: 1,
            page_end: 1,
            dense: between(&a.dense, &b.dense, random),
            sparse: sparse::embed_passage(&text),
        });
        let span = PageSpan { page: 1, start, end: page.text.len() as u32 };
        chunks.push(Chunk {
            number: at,
            text,
            page_start: 1,
            page_end: 1,
            spans: vec![span],
            section: Vec::new(),
            continues: false,
        });
    }
    let document = Document {
        title: None,
        author: None,
        written: None,
        media_type: MediaType::Text,
        pages: vec![page],
        problems: Vec::new(),
        cautions: Vec::new(),
    };
    let file = format!("agreement {number}.txt");
    let place = Place { file, origin: Origin::Added, size_bytes: 0, modified_ms: 0 };
    (NewDocument { id, collection, sha256, document, chunks, place }, points)
}

fn empty_page() -> Page {
    Page {
        number: 1,
        label: None,
        width_pt: 0.0,
        height_pt: 0.0,
        rotation: 0,
        text: String::new(),
        words: Vec::new(),
        headings: Vec::new(),
        recognised: false,
        confidence: 1.0,
    }
}

/// A vector of length one between two others, with noise.
fn between(a: &[f32], b: &[f32], random: &mut Random) -> Vec<f32> {
    let noise = NOISE / (a.len() as f32).sqrt();
    let mut vector: Vec<f32> = a.iter().zip(b).map(|(a, b)| a + 0.5 * b + noise * normal(random)).collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    for x in &mut vector {
        *x /= length;
    }
    vector
}

/// Roughly normal, of variance one: the sum of twelve uniform numbers.
fn normal(random: &mut Random) -> f32 {
    (0..12).map(|_| (random.next() >> 40) as f32 / (1u64 << 24) as f32).sum::<f32>() - 6.0
}

/// Exact search by meaning: how long it takes, and how many of its first ten the index finds.
async fn against_exact(library: &Arc<Library>, questions: &[&str], vectors: &Vectors) -> Result<(Vec<f64>, f64)> {
    let mut took = Vec::new();
    let (mut found, mut all) = (0, 0);
    for question in questions {
        let asked = (*question).to_owned();
        let vector = library.embedder_for_questions().run(move |embedder| embedder.embed_question(&asked)).await??;
        let started = Instant::now();
        let mut near: Vec<(f32, Uuid)> = vectors
            .iter()
            .map(|(id, other)| (vector.iter().zip(other).map(|(a, b)| a * b).sum::<f32>(), *id))
            .collect();
        near.select_nth_unstable_by(10.min(vectors.len() - 1), |a, b| b.0.total_cmp(&a.0));
        near.truncate(10);
        took.push(started.elapsed().as_secs_f64() * 1000.0);
        let request = SearchRequest { question: (*question).to_owned(), ..SearchRequest::default() };
        let (_, trace) = library.search_by(&request, Steps::plain(true, false)).await?;
        let given = trace.stages.iter().find(|(stage, _)| *stage == Stage::Meaning).map(|(_, ids)| ids.as_slice());
        let first = given.unwrap_or_default().iter().take(10).collect::<std::collections::HashSet<_>>();
        found += near.iter().filter(|(_, id)| first.contains(id)).count();
        all += near.len();
    }
    Ok((took, found as f64 / all.max(1) as f64))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
