//! Questions against indexes of 10,000, 100,000 and 1,000,000 chunks: the documents of a real set and synthetic ones
//! around them. Each synthetic chunk has sentences of two real ones, and a vector between theirs that is moved along the
//! differences of others, so that near ones abound and lie as texts do.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use clap::Args;
use premise_ingest::{Chunk, Document, MediaType, Page, PageSpan};
use serde::{Deserialize, Serialize};
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
    /// Keep the indexes in this folder, and use those that an earlier run built there [default: a temporary one]
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
    /// Nothing when an earlier run built it.
    build_s: Option<f64>,
    /// Whole searches, from the question to the passages.
    p50_ms: f64,
    p95_ms: f64,
    /// The same with the naming of documents left out: the whole question is searched for everywhere.
    everywhere_p50_ms: f64,
    everywhere_p95_ms: f64,
    /// Of the former, seeing what the question names.
    name_p50_ms: f64,
    /// Of the latter, the question's embedding.
    embed_p50_ms: f64,
    /// And the search of the index by meaning, beyond it; the one by words runs beside the embedding.
    index_p50_ms: f64,
    /// The same questions by meaning, compared with every vector in memory, without anything else.
    exact_p50_ms: f64,
    /// Of the ten nearest vectors, the share that the index gives among its first ten.
    recall_at_10: f64,
}

/// Chunks of a synthetic document: those of a contract of twelve pages.
const PER_DOCUMENT: usize = 36;
/// Documents written at once.
const GROUP: usize = 64;

/// Where the library of the real documents lies, and where the one that is measured.
struct Folders {
    real: PathBuf,
    path: PathBuf,
}

/// How far a vector is moved along the difference of two others, and how often; and the length of the noise without a
/// direction.
const MOVED: f32 = 0.3;
const MOVES: usize = 3;
const NOISE: f32 = 0.1;

pub(crate) async fn run(args: SearchArgs, settings: Settings, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    let set = EvalSet::load(&args.set)?;
    let temporary = tempfile::Builder::new().prefix("premise-bench-").tempdir();
    let temporary = temporary.map_err(|error| Error::io("make a temporary folder", &error))?;
    // Indexes of one set are none of another's, and ids change with how files are read.
    let kind = format!("{}-r{}", set.name, premise_ingest::REVISION);
    let work = args.work.as_deref().unwrap_or(temporary.path()).join(kind);
    let real = work.join("real");
    let base = Arc::new(base(&set, &real, &settings, stop).await?);
    let mut all = Vec::new();
    for &chunks in &args.chunks {
        let folders = Folders { real: real.clone(), path: work.join(chunks.to_string()) };
        let figures = measure(&set, &base, folders, &settings, chunks, args.queries).await?;
        if !args.json {
            println!(
                "{:>9} chunks: p50 {:.1} ms, p95 {:.1} ms (naming {:.1}); without names p50 {:.1} ms, p95 {:.1} ms (embedding \
                 {:.1}, index {:.1}); exact search {:.1} ms, {:.1} times the index; recall@10 {:.3}; {}",
                figures.chunks,
                figures.p50_ms,
                figures.p95_ms,
                figures.name_p50_ms,
                figures.everywhere_p50_ms,
                figures.everywhere_p95_ms,
                figures.embed_p50_ms,
                figures.index_p50_ms,
                figures.exact_p50_ms,
                figures.exact_p50_ms / figures.index_p50_ms,
                figures.recall_at_10,
                figures.build_s.map_or_else(|| "built earlier".to_owned(), |s| format!("built in {s:.0} s")),
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
#[derive(Serialize, Deserialize)]
struct Real {
    id: Uuid,
    /// It begins a document, and names those that it is about: no synthetic document is made of it.
    is_cover: bool,
    sentences: Vec<String>,
    dense: Vec<f32>,
}

/// So many chunks of a document are its cover.
const COVER: usize = 3;

/// The chunks of the set, kept in the folder for the next run: embedding them takes a minute.
const KEPT_BASE: &str = "bench-base";

/// Reads the set and embeds its chunks.
async fn base(set: &EvalSet, path: &Path, settings: &Settings, stop: Arc<AtomicBool>) -> Result<Vec<Real>> {
    let (path, docs, settings) = (path.to_owned(), set.docs.clone(), settings.clone());
    blocking(move || {
        std::fs::create_dir_all(&path).map_err(|error| Error::io(format_args!("make {}", path.display()), &error))?;
        let kept = path.join(KEPT_BASE);
        if let Some(base) = std::fs::read(&kept).ok().and_then(|bytes| postcard::from_bytes(&bytes).ok()) {
            return Ok(base);
        }
        let library = app::open_library(&path, &settings)?;
        library.sync("bench", &docs, &stop, &|_| {})?;
        let mut embedder = library.embedder_for_passages()?;
        let mut base = Vec::new();
        let mut documents: Vec<_> = library.db().expected_chunks()?.into_keys().collect();
        documents.sort_unstable();
        for document in documents {
            for (number, chunk) in library.db().chunks_of(document)?.into_iter().enumerate() {
                let dense = embedder.embed_passage(&chunk.text)?;
                let sentences = text::sentences(&chunk.text).into_iter();
                let sentences = sentences.map(|range| chunk.text[range].trim().to_owned()).collect();
                base.push(Real { id: point_id(document, number as u32), is_cover: number < COVER, sentences, dense });
            }
        }
        let bytes = postcard::to_stdvec(&base).map_err(Error::internal)?;
        std::fs::write(&kept, bytes).map_err(|error| Error::io(format_args!("write {}", kept.display()), &error))?;
        Ok(base)
    })
    .await
}

async fn measure(
    set: &EvalSet,
    base: &Arc<Vec<Real>>,
    folders: Folders,
    settings: &Settings,
    chunks: usize,
    queries: usize,
) -> Result<Figures> {
    let (settings, base) = (settings.clone(), base.clone());
    let Filled { library, documents, vectors, build_s } =
        blocking(move || fill(&folders, &settings, &base, chunks)).await?;
    let library = Arc::new(library);
    let questions: Vec<&str> =
        set.queries.iter().map(|query| query.question.as_str()).cycle().take(queries + queries / 2).collect();
    let asked = timed(&library, &questions, Steps::all()).await?;
    let everywhere = timed(&library, &questions, Steps::all().without("naming")?).await?;
    let (exact_ms, recall) = against_exact(&library, &questions[..queries.min(40)], &vectors).await?;
    Ok(Figures {
        chunks,
        documents,
        build_s,
        p50_ms: percentile(&asked.all, 0.5),
        p95_ms: percentile(&asked.all, 0.95),
        everywhere_p50_ms: percentile(&everywhere.all, 0.5),
        everywhere_p95_ms: percentile(&everywhere.all, 0.95),
        name_p50_ms: percentile(&asked.name, 0.5),
        embed_p50_ms: percentile(&everywhere.embed, 0.5),
        index_p50_ms: percentile(&everywhere.index, 0.5),
        exact_p50_ms: percentile(&exact_ms, 0.5),
        recall_at_10: recall,
    })
}

/// How long questions took, and the parts of it, in milliseconds.
#[derive(Default)]
struct Times {
    all: Vec<f64>,
    name: Vec<f64>,
    embed: Vec<f64>,
    index: Vec<f64>,
}

/// Searches for all questions; the first third only warms the caches.
async fn timed(library: &Arc<Library>, questions: &[&str], steps: Steps) -> Result<Times> {
    let mut times = Times::default();
    for (at, question) in questions.iter().enumerate() {
        let request = SearchRequest { question: (*question).to_owned(), ..SearchRequest::default() };
        let started = Instant::now();
        let (_, trace) = library.search_by(&request, steps).await?;
        if at >= questions.len() / 3 {
            times.all.push(started.elapsed().as_secs_f64() * 1000.0);
            times.name.push(trace.name_ms);
            times.embed.push(trace.embed_ms);
            times.index.push(trace.search_ms);
        }
    }
    Ok(times)
}

/// All vectors, with the ids of their chunks, for exact search.
type Vectors = Vec<(Uuid, Vec<f32>)>;

struct Filled {
    library: Library,
    documents: usize,
    vectors: Vectors,
    build_s: Option<f64>,
}

/// Holds how many synthetic chunks are in; written when the index is complete.
const COMPLETE: &str = "bench-complete";

/// A library of the real documents and so many synthetic chunks that there are `chunks` in all.
fn fill(folders: &Folders, settings: &Settings, base: &[Real], chunks: usize) -> Result<Filled> {
    let path = &folders.path;
    let started = Instant::now();
    let kept: Option<usize> = std::fs::read_to_string(path.join(COMPLETE)).ok().and_then(|text| text.parse().ok());
    if kept.is_none() {
        copy_folder(&folders.real, path).map_err(|error| Error::io(format_args!("fill {}", path.display()), &error))?;
    }
    let library = app::open_library(path, settings)?;
    let collection = library.db().ensure_collection("bench")?;
    let mut random = Random(11);
    let wanted = match kept {
        Some(wanted) => wanted,
        None => chunks.saturating_sub(library.db().expected_chunks()?.into_values().map(|(_, n)| n as usize).sum()),
    };
    let mut vectors: Vectors = base.iter().map(|real| (real.id, real.dense.clone())).collect();
    let bodies: Vec<&Real> = base.iter().filter(|real| !real.is_cover).collect();
    let documents = wanted.div_ceil(PER_DOCUMENT);
    for first in (0..documents).step_by(GROUP) {
        let mut group = Vec::new();
        let mut points = Vec::new();
        for number in first..(first + GROUP).min(documents) {
            let size = PER_DOCUMENT.min(wanted - number * PER_DOCUMENT);
            let (document, new) = synthetic(collection, number, size, &bodies, &mut random);
            vectors.extend(new.iter().map(|point| (point.id, point.dense.clone())));
            group.push(document);
            points.extend(new);
        }
        if kept.is_none() {
            library.store_for_bench(points)?;
            library.db().put_documents(&group)?;
        }
    }
    library.settle()?;
    let written = std::fs::write(path.join(COMPLETE), wanted.to_string());
    written.map_err(|error| Error::io(format_args!("write into {}", path.display()), &error))?;
    let build_s = kept.is_none().then(|| started.elapsed().as_secs_f64());
    Ok(Filled { library, documents, vectors, build_s })
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn synthetic(
    collection: CollectionId,
    number: usize,
    size: usize,
    base: &[&Real],
    random: &mut Random,
) -> (NewDocument, Vec<Point>) {
    let sha256 = premise_ingest::hash_bytes(format!("synthetic {number}").as_bytes());
    let id = document_id(collection, &sha256);
    let mut page =
        Page { text: format!("AGREEMENT {number} between Party{number} Inc and Other{number} LLC"), ..empty_page() };
    let mut chunks = Vec::new();
    let mut points = Vec::new();
    for at in 0..size as u32 {
        let (a, b) = (base[random.below(base.len())], base[random.below(base.len())]);
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
            dense: between(a, b, base, random),
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

/// A vector of length one between those of two chunks, moved along the differences of others.
fn between(a: &Real, b: &Real, base: &[&Real], random: &mut Random) -> Vec<f32> {
    let noise = NOISE / (a.dense.len() as f32).sqrt();
    let mut vector: Vec<f32> =
        a.dense.iter().zip(&b.dense).map(|(a, b)| a + 0.5 * b + noise * normal(random)).collect();
    for _ in 0..MOVES {
        let (from, to) = (base[random.below(base.len())], base[random.below(base.len())]);
        let by = MOVED * normal(random);
        for (x, (from, to)) in vector.iter_mut().zip(from.dense.iter().zip(&to.dense)) {
            *x += by * (to - from);
        }
    }
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
        let first: HashSet<_> = given.unwrap_or_default().iter().take(10).collect();
        found += near.iter().filter(|(_, id)| first.contains(id)).count();
        all += near.len();
    }
    Ok((took, found as f64 / all.max(1) as f64))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
