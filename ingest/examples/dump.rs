//! Prints the text of a file or folder, page by page, as JSON lines; `--chunks TOKENIZER` prints
//! chunks instead, and `--no-text` only measures. Timing goes to standard error.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use premise_ingest::{ChunkRules, Document, Limits, TokenCounter, chunk, read, scan};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut input, mut counter, mut quiet) = (None, None, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--no-text" => quiet = true,
            "--chunks" => {
                let file = arguments.next().ok_or("--chunks needs a tokenizer.json")?;
                counter = Some(TokenCounter::from_bytes(&std::fs::read(file)?)?);
            }
            _ => input = Some(PathBuf::from(argument)),
        }
    }
    let input = input.ok_or("usage: dump [--no-text] [--chunks TOKENIZER.JSON] FILE|FOLDER")?;
    let files: Vec<PathBuf> =
        if input.is_dir() { scan(&input)?.files.into_iter().map(|file| file.path).collect() } else { vec![input] };
    let (mut pages, mut chunks) = (0, 0);
    let (mut reading, mut chunking) = (Duration::ZERO, Duration::ZERO);
    for file in &files {
        let bytes = std::fs::read(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let start = Instant::now();
        let outcome = read(&name, &bytes, &Limits::default());
        reading += start.elapsed();
        let document = match outcome {
            Ok(document) => document,
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                continue;
            }
        };
        for problem in &document.problems {
            eprintln!("{}: {}", file.display(), problem.message);
        }
        pages += document.pages.len();
        if let Some(counter) = &counter {
            let start = Instant::now();
            let found = chunk(&document, counter, &ChunkRules::default());
            chunking += start.elapsed();
            chunks += found.len();
            for chunk in found.iter().filter(|_| !quiet) {
                writeln!(std::io::stdout(), "{}", json!({"file": name, "chunk": chunk}))?;
            }
        } else if !quiet {
            print_pages(file, &name, &document)?;
        }
    }
    eprintln!(
        "{} files, {pages} pages in {:.2} s: {:.0} pages/s; {chunks} chunks in {:.2} s",
        files.len(),
        reading.as_secs_f64(),
        pages as f64 / reading.as_secs_f64(),
        chunking.as_secs_f64(),
    );
    Ok(())
}

fn print_pages(file: &Path, name: &str, document: &Document) -> Result<(), Box<dyn Error>> {
    eprintln!("{}: {:?}", file.display(), document.title);
    let mut out = std::io::stdout().lock();
    for page in &document.pages {
        let line = json!({"file": name, "page": page.number, "label": page.label, "text": page.text});
        writeln!(out, "{line}")?;
    }
    Ok(())
}
