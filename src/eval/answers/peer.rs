//! The same questions in a plain pipeline with llama.cpp, for the time to the first word: the nearest passages by meaning
//! as they are, in front of the question.

use std::{fmt::Write as _, path::Path, sync::Arc, time::Instant};

use crate::{
    app,
    bench::llama_cpp::LlamaCpp,
    config::Settings,
    error::Result,
    library::{Library, SearchRequest, Steps},
};

/// What passages a plain pipeline shows its model: about 1,200 tokens.
const CONTEXT_BYTES: usize = 5200;

/// llama.cpp with the model of the settings.
pub(super) struct Peer {
    engine: LlamaCpp,
}

impl Peer {
    pub(super) fn start(folder: &Path, settings: &Settings) -> Result<Self> {
        let (model, _) = app::model_file(&settings.models, None)?;
        Ok(Self { engine: LlamaCpp::start(folder, &model, 1)? })
    }

    /// Milliseconds from the question to the first word.
    pub(super) async fn first_token_ms(&mut self, library: &Arc<Library>, request: &SearchRequest) -> Result<u64> {
        let started = Instant::now();
        let (found, _) = library.search_by(request, Steps::plain(true, false)).await?;
        let mut prompt = String::from("Answer the question from these passages.\n\n");
        for passage in &found.passages {
            let left = CONTEXT_BYTES.saturating_sub(prompt.len());
            let end = passage.text.floor_char_boundary(left.min(passage.text.len()));
            let _ = write!(prompt, "{}\n\n", &passage.text[..end]);
        }
        let _ = write!(prompt, "Question: {}\nAnswer:", request.question);
        tokio::task::block_in_place(|| self.engine.answer_greedily(&prompt, 1))?;
        Ok(started.elapsed().as_millis() as u64)
    }
}
