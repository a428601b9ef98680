//! The reading benchmark's side of ours: for each file of a list, one JSON line with its pages'
//! text or the error. `pages [--ocr LANGUAGES] [--password WORD] FILE…`, or `pages --list FILE`.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use premise_ingest::{ReadOptions, Recognise, Tesseract, read_with};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = ReadOptions::default();
    let mut tesseract = None;
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--list" => files.extend(std::fs::read_to_string(value()?)?.lines().map(str::to_owned)),
            "--ocr" => tesseract = Some(Tesseract::find(&value()?)?),
            "--password" => options.passwords.push(value()?),
            _ => files.push(argument),
        }
    }
    options.recogniser = tesseract.as_ref().map(|tesseract| tesseract as &dyn Recognise);
    let mut out = std::io::stdout().lock();
    for file in files {
        let name = Path::new(&file).file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let line = match read_with(&name, &std::fs::read(&file)?, &options) {
            Ok(reading) => {
                let document = reading.document;
                let pages: Vec<&str> = document.pages.iter().map(|page| page.text.as_str()).collect();
                let problems: Vec<&str> = document.problems.iter().map(|problem| problem.message.as_str()).collect();
                json!({"file": file, "pages": pages, "problems": problems})
            }
            Err(error) => json!({"file": file, "error": error.to_string()}),
        };
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    Ok(())
}
