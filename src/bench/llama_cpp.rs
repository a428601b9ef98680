//! llama.cpp as a peer: its prebuilt package, run by Node.js in the folder where it was installed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Deserialize;
use tempfile::NamedTempFile;

use super::generate::Times;
use crate::error::{Error, Kind, Result};

/// The first line that the script writes.
#[derive(Deserialize)]
struct Opened {
    load_s: f64,
}

/// What it answers to a prompt when it always takes the likeliest token.
#[derive(Deserialize)]
pub(crate) struct Greedy {
    pub(super) text: String,
    pub(super) prompt_tokens: usize,
}

/// A running llama.cpp with a model open.
pub(crate) struct LlamaCpp {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Seconds that it took to open the model.
    pub(super) load_s: f64,
    /// Packages are found from where a script lies, so it lies there as long as it runs.
    _script: NamedTempFile,
}

impl LlamaCpp {
    /// Starts it with the package in `folder`, for so many people at once.
    pub(crate) fn start(folder: &Path, model: &Path, people: usize) -> Result<Self> {
        let failed = |error: &std::io::Error| Error::io("start llama.cpp", error);
        let mut script = tempfile::Builder::new()
            .suffix(".mjs")
            .tempfile_in(folder)
            .map_err(|error| Error::io(format_args!("write into {}", folder.display()), &error))?;
        script.write_all(include_bytes!("llama_cpp.mjs")).map_err(|error| failed(&error))?;
        let model = std::path::absolute(model).map_err(|error| failed(&error))?;
        let mut process = Command::new("node")
            .arg(script.path())
            .arg(model)
            .arg(people.max(1).to_string())
            .arg(crate::generate::threads().to_string())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (input, output) = input.zip(output).ok_or_else(|| Error::internal("llama.cpp has no pipes"))?;
        let mut peer = Self { process, input, output: BufReader::new(output), load_s: 0.0, _script: script };
        peer.load_s = peer.line::<Opened>()?.load_s;
        Ok(peer)
    }

    /// Has it answer so many people at once.
    pub(super) fn answer_all(
        &mut self,
        prompt: usize,
        people: usize,
        answer: usize,
        seed: usize,
    ) -> Result<Vec<Times>> {
        let request = serde_json::json!({ "prompt": prompt, "people": people, "answer": answer, "seed": seed });
        self.ask(&request)
    }

    /// Has it answer a prompt, always with the likeliest token.
    pub(crate) fn answer_greedily(&mut self, prompt: &str, answer: usize) -> Result<Greedy> {
        let request = serde_json::json!({ "greedy": prompt, "answer": answer });
        self.ask(&request)
    }

    /// The tokens of plain texts, as it sees them.
    pub(super) fn tokenize(&mut self, texts: &[String]) -> Result<Vec<Vec<u32>>> {
        let request = serde_json::json!({ "tokenize": texts });
        self.ask(&request)
    }

    /// Number of its process.
    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }

    fn ask<T: for<'a> Deserialize<'a>>(&mut self, request: &serde_json::Value) -> Result<T> {
        writeln!(self.input, "{request}").map_err(|error| Error::io("ask llama.cpp", &error))?;
        self.line()
    }

    fn line<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| Error::io("hear from llama.cpp", &error))?;
        serde_json::from_str(&line).map_err(|_| {
            Error::new(
                Kind::Unavailable,
                "no_peer",
                "llama.cpp ended or said something unexpected",
                "Run `npm install node-llama-cpp @node-llama-cpp/linux-x64` in the folder that --peer names",
            )
        })
    }
}

impl Drop for LlamaCpp {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
