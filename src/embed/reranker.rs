//! Cross-encoders on fastembed: they read question and passage together, which judges better than two vectors and
//! takes as long as embedding the passage did.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use fastembed::{OnnxSource, RerankInitOptionsUserDefined, TextRerank, UserDefinedRerankingModel};

use super::fastembed::{environment, tokenizer_files};
use super::{EmbedError, Reranker};
use crate::models::RerankerPaths;

/// Opens a reranker that computes with this many threads, and lets it score once, so that a model that cannot is an
/// error now and not at somebody's question.
pub fn open_reranker(paths: &RerankerPaths, threads: usize) -> Result<Box<dyn Reranker>, EmbedError> {
    let failed = |detail: String| EmbedError::OpenReranker { name: paths.name.clone(), detail };
    // By its path: weights outside the graph are found beside it.
    let model = UserDefinedRerankingModel::new(OnnxSource::File(paths.graph.clone()), tokenizer_files(&paths.folder)?);
    let options = RerankInitOptionsUserDefined::new()
        .with_environment(environment()?)
        .with_max_length(paths.max_tokens)
        .with_session_config("session.intra_op.allow_spinning", "0")
        .with_intra_threads(threads);
    let model = TextRerank::try_new_from_user_defined(model, options).map_err(|error| failed(error.to_string()))?;
    let mut reranker = FastReranker { name: paths.name.clone(), model };
    // fastembed asserts on an output of another shape than one row a passage.
    let probe = catch_unwind(AssertUnwindSafe(|| reranker.score("Who pays?", "The tenant pays.")));
    match probe {
        Ok(Ok(_)) => Ok(Box::new(reranker)),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("its output is not one score a passage".to_owned())),
    }
}

/// Scores of passages in their order, as many as can be had until the deadline: the next one is not begun when the
/// mean of those before says that it would end too late.
pub fn score_until(
    reranker: &mut dyn Reranker,
    question: &str,
    passages: &[String],
    deadline: Instant,
) -> Result<Vec<f32>, EmbedError> {
    let begun = Instant::now();
    let mut scores: Vec<f32> = Vec::new();
    for passage in passages {
        let mean = begun.elapsed().checked_div(scores.len() as u32).unwrap_or_default();
        if Instant::now() + mean >= deadline {
            break;
        }
        scores.push(reranker.score(question, passage)?);
    }
    Ok(scores)
}

struct FastReranker {
    name: String,
    model: TextRerank,
}

impl Reranker for FastReranker {
    fn name(&self) -> &str {
        &self.name
    }

    /// One passage at a time: a batch is padded to its longest, and no budget of time fits it.
    fn score(&mut self, question: &str, passage: &str) -> Result<f32, EmbedError> {
        let scored = self.model.rerank(question, [passage], false, Some(1));
        let scored = scored.map_err(|error| EmbedError::Rerank(error.to_string()))?;
        let score = scored.first().map(|result| result.score).filter(|score| score.is_finite());
        score.ok_or_else(|| EmbedError::Rerank("the score is no number".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::embed::init_runtime;
    use crate::models::{find, local, locate, test_models_dir, tiny};

    fn open(folder: &Path) -> Result<Box<dyn Reranker>, EmbedError> {
        init_runtime(locate(&test_models_dir(), find("onnxruntime").unwrap()).unwrap().main_file()).unwrap();
        open_reranker(&local::reranker(folder).unwrap(), 1)
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_hours(1)
    }

    #[test]
    fn the_graph_scores_question_and_passage_together() {
        let folder = tempfile::tempdir().unwrap();
        tiny::cross_encoder(folder.path(), "logits");
        let mut reranker = open(folder.path()).unwrap();
        let passages = ["The tenant repairs the roof.", "Bees like lavender.", "The tenant pays the rent."];
        let passages = passages.map(str::to_owned);
        // Each has the separator in common with the question, the first also tenant, roof and the full stop.
        let scores = score_until(reranker.as_mut(), "tenant roof.", &passages, far()).unwrap();
        assert_eq!(scores, [4.0, 2.0, 3.0]);
        assert_eq!(reranker.name(), folder.path().display().to_string());
    }

    #[test]
    fn after_the_deadline_nothing_is_scored() {
        let folder = tempfile::tempdir().unwrap();
        tiny::cross_encoder(folder.path(), "logits");
        let mut reranker = open(folder.path()).unwrap();
        let passages = vec!["The tenant pays.".to_owned()];
        assert!(score_until(reranker.as_mut(), "Who pays?", &passages, Instant::now()).unwrap().is_empty());
    }

    #[test]
    fn a_model_that_cannot_score_is_an_error_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        tiny::cross_encoder(folder.path(), "scores");
        let error = open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("cannot open reranker") && error.contains("logits"), "{error}");
        fs::write(folder.path().join("model.onnx"), "no graph").unwrap();
        assert!(matches!(open(folder.path()), Err(EmbedError::OpenReranker { .. })));
        fs::write(folder.path().join("tokenizer.json"), "no tokenizer").unwrap();
        assert!(matches!(open(folder.path()), Err(EmbedError::OpenReranker { .. })));
    }
}
