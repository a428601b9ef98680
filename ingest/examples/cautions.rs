//! Prints what is to be told of a folder's files: text that a reader cannot see, orders to a language model; a line each.
//!
//! cargo run --release -p premise-ingest --example cautions -- FOLDER

use std::path::Path;

use premise_ingest::{Limits, read, scan};

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let (mut files, mut with_cautions) = (0, 0);
    for found in scan(Path::new(&folder))?.files {
        let name = found.path.to_string_lossy();
        let Ok(document) = read(&name, &std::fs::read(&found.path)?, &Limits::default()) else { continue };
        files += 1;
        with_cautions += usize::from(!document.cautions.is_empty());
        for caution in &document.cautions {
            println!("{name}: {}", caution.message);
        }
    }
    println!("{with_cautions} of {files} files");
    Ok(())
}
