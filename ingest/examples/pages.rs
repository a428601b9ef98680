//! The reading benchmark's side of ours: for each file of a list, one JSON line with its pages'
//! text or the error. `pages --list FILE`, or `pages FILE…`.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use premise_ingest::{Limits, read};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, list] = arguments.as_slice()
        && flag == "--list"
    {
        arguments = std::fs::read_to_string(list)?.lines().map(str::to_owned).collect();
    }
    let mut out = std::io::stdout().lock();
    for file in arguments {
        let name = Path::new(&file).file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let line = match read(&name, &std::fs::read(&file)?, &Limits::default()) {
            Ok(document) => {
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
