//! The best passages ranked anew by a cross-encoder, for as long as a question may take: what it has judged comes
//! before what it has not.

use std::{
    cmp::Ordering::Equal,
    time::{Duration, Instant},
};

use super::{Library, retrieve::Candidate};
use crate::{
    embed::{Reranker, score_until},
    error::Result,
};

impl Library {
    /// Orders candidates by the reranker, best first until the time is spent. `spent` is what this question has used of
    /// it, and grows. Without a reranker or time they stay as they are.
    pub(super) async fn rerank(
        &self,
        question: &str,
        mut candidates: Vec<Candidate>,
        spent: &mut Duration,
    ) -> Result<Vec<Candidate>> {
        let left = self.rerank_time.saturating_sub(*spent);
        let Some(reranker) = self.reranker.as_ref().filter(|_| !left.is_zero() && candidates.len() > 1) else {
            return Ok(candidates);
        };
        let started = Instant::now();
        let question = question.to_owned();
        let passages: Vec<_> = candidates.iter().map(|candidate| candidate.row.text.clone()).collect();
        // Waiting for others counts too, so that a question never takes longer than its time.
        let judge = move |reranker: &mut Box<dyn Reranker>| {
            score_until(reranker.as_mut(), &question, &passages, started + left)
        };
        let scores = reranker.run(judge).await??;
        *spent += started.elapsed();
        for (candidate, score) in candidates.iter_mut().zip(&scores) {
            candidate.reranker_score = Some(*score);
        }
        // The sort keeps the order of equals.
        candidates[..scores.len()].sort_by(|a, b| b.reranker_score.partial_cmp(&a.reranker_score).unwrap_or(Equal));
        Ok(candidates)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc, sync::atomic::AtomicBool};

    use tempfile::TempDir;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::{
        app,
        config::Settings,
        library::{Passage, SearchRequest},
        models::{test_models_dir, tiny},
    };

    /// Three texts: the one that answers, one that has the question's words many times over, one beside the point.
    const FILES: [(&str, &str); 3] = [
        ("answer.txt", "The landlord repairs the roof at his own cost."),
        ("words.txt", "The roof, the roof, the roof: who repairs the roof of the barn by the roof?"),
        ("bees.txt", "Bees like lavender, thyme and the flowers of the lime tree."),
    ];
    const QUESTION: &str = "Who repairs the roof?";

    struct Desk {
        runtime: Runtime,
        folder: TempDir,
        settings: Settings,
    }

    fn desk() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in FILES {
            fs::create_dir_all(folder.path().join("files")).unwrap();
            fs::write(folder.path().join("files").join(name), text).unwrap();
        }
        fs::create_dir_all(folder.path().join("reranker")).unwrap();
        tiny::cross_encoder(&folder.path().join("reranker"), "logits");
        let mut settings = Settings::default();
        settings.models.folder = test_models_dir();
        settings.models.generator = "smollm2-135m".to_owned();
        settings.retrieval.reranker = folder.path().join("reranker").display().to_string();
        settings.retrieval.rerank_ms = 60_000;
        // Files are read by the program itself, which lies above the folder of the test's own.
        let tests = std::env::current_exe().unwrap();
        settings.reading.program = tests.ancestors().nth(2).map(|folder| folder.join("premise"));
        Desk { runtime: Runtime::new().unwrap(), folder, settings }
    }

    impl Desk {
        fn open(&self) -> Result<Library> {
            let _within = self.runtime.enter();
            fs::create_dir_all(self.folder.path().join("data")).unwrap();
            app::open_library(&self.folder.path().join("data"), &self.settings)
        }

        fn found(&self) -> Vec<Passage> {
            let library = Arc::new(self.open().unwrap());
            library.sync("default", &self.folder.path().join("files"), &AtomicBool::new(false), &|_| {}).unwrap();
            let request = SearchRequest { question: QUESTION.to_owned(), explain: true, ..SearchRequest::default() };
            self.runtime.block_on(library.search(&request)).unwrap().passages
        }
    }

    fn scores(passages: &[Passage]) -> Vec<Option<f32>> {
        passages.iter().map(|passage| passage.why.as_ref().unwrap().reranker_score).collect()
    }

    fn names(passages: &[Passage]) -> Vec<&str> {
        passages.iter().map(|passage| passage.file.as_str()).collect()
    }

    #[test]
    fn passages_come_in_the_order_of_the_reranker() {
        let desk = desk();
        let passages = desk.found();
        assert_eq!(names(&passages), ["words.txt", "answer.txt", "bees.txt"]);
        // Pairs of equal tokens; the separator is one, and "the" and "roof" stand several times.
        assert_eq!(scores(&passages), [Some(15.0), Some(5.0), Some(3.0)]);
    }

    #[test]
    fn without_time_passages_stay_as_the_searches_ranked_them() {
        let mut desk = desk();
        desk.settings.retrieval.rerank_ms = 0;
        let passages = desk.found();
        assert_eq!(scores(&passages), [None, None, None]);
        desk.settings.retrieval.reranker = "none".to_owned();
        assert_eq!(names(&passages), names(&desk.found()));
    }

    #[test]
    fn a_reranker_that_cannot_be_used_is_an_error_at_the_start() {
        let mut desk = desk();
        let reranker = desk.folder.path().join("reranker");
        fs::write(reranker.join("model.onnx"), "no graph").unwrap();
        assert!(desk.open().err().unwrap().message.contains("cannot open reranker"));
        fs::remove_file(reranker.join("model.onnx")).unwrap();
        assert!(desk.open().err().unwrap().message.contains("it lacks model.onnx"));
        desk.settings.retrieval.reranker = "bge-reranker-base".to_owned();
        assert!(desk.open().err().unwrap().message.contains("bge-reranker-base is not set up"));
        desk.settings.retrieval.reranker = "bge-reranker-best".to_owned();
        assert!(desk.open().err().unwrap().message.contains("no model \"bge-reranker-best\""));
    }
}
