//! Settings: `premise.toml` in the data folder, with a few that the environment may override.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    error::{Error, Kind, Result},
    models::{Precision, local},
};

/// Name of the settings file within the data folder.
pub const FILE: &str = "premise.toml";

/// What the settings call having no reranker.
const NO_RERANKER: &str = "none";

/// All settings. Every one has a default, so a new installation needs no file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Models and where they lie.
    pub models: Models,
    /// Where vectors are kept.
    pub store: Store,
    /// The query service.
    pub serve: Serve,
    /// Reading folders by the clock.
    pub sync: Sync,
    /// How passages are found.
    pub retrieval: Retrieval,
    /// What the process that reads files may use.
    pub reading: Reading,
    /// How the text of pictures is recognised.
    pub ocr: Ocr,
    /// For each collection, the file with the passwords of its locked files, one a line.
    pub passwords: BTreeMap<String, PathBuf>,
    /// How questions are answered.
    pub answer: Answer,
}

/// Models and where they lie.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Models {
    /// Folder of the model files; default: `premise/models` in the user's data folder, shared by all data folders.
    pub folder: PathBuf,
    /// The model that writes answers: a name of the catalogue, or the path of a GGUF file.
    pub generator: String,
    /// The model that turns text into vectors: a name of the catalogue, or the path of a folder (docs/embedders.md).
    pub embedder: String,
    /// `fp32`, `fp16`, `int8` or `int4`, where the embedder has it: int8 reads folders about 1.5 times as fast
    /// with the default embedder, and ranks a little differently.
    pub precision: Precision,
}

impl Retrieval {
    /// The reranker, if there is to be one.
    pub fn reranker(&self) -> Option<&str> {
        Some(self.reranker.as_str()).filter(|reranker| !reranker.is_empty() && *reranker != NO_RERANKER)
    }
}

/// Where vectors are kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// gRPC address of a Qdrant server, such as `http://127.0.0.1:6334`; without it the engine runs in this process.
    pub url: Option<String>,
    /// Its API key.
    pub api_key: Option<String>,
}

/// The query service.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Serve {
    /// Address to listen on; only this machine can reach a loopback address.
    pub addr: String,
    /// Names under which browsers may reach the service, besides the address itself and `localhost`.
    pub hosts: Vec<String>,
    /// Largest upload in megabytes.
    pub max_upload_mb: u64,
}

/// Reading folders by the clock.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sync {
    /// When, as a cron expression in local time: `"0 2 * * *"` is every night at two. Without it nothing runs.
    pub cron: Option<String>,
    /// The folders to read.
    pub folders: Vec<SyncFolder>,
}

/// A folder that is read by the clock.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncFolder {
    /// The folder.
    pub path: PathBuf,
    /// The collection that its files belong to.
    #[serde(default = "default_collection")]
    pub collection: String,
}

/// How passages are found.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retrieval {
    /// The cross-encoder that ranks the best passages anew: a name of the catalogue, the path of a folder, or `none`.
    pub reranker: String,
    /// Most milliseconds that it may take for a question. More passages are ranked anew with more; 0 is none.
    pub rerank_ms: u64,
}

/// What the process that reads files may use; a file that needs more is refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// Most seconds of CPU time for one file; four times as long by the clock.
    pub seconds: u64,
    /// Most memory in megabytes, the program itself included.
    pub memory_mb: u64,
    /// Most megabytes of text, places of words and attachments that one file may hold.
    pub output_mb: u64,
    /// The program that reads: this one, unless a test says otherwise.
    #[serde(skip)]
    pub program: Option<PathBuf>,
}

/// How the text of pictures is recognised.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ocr {
    /// `auto`: with Tesseract, if it is installed; `off`: not at all.
    pub enabled: Enabled,
    /// The languages of the files, by Tesseract's names with a plus between: `eng+deu`. After a change, the next sync
    /// reads pictures again.
    pub languages: String,
    /// How many pages are read at a time; 0 is one for each core.
    pub pages_at_once: usize,
    /// Most seconds of CPU time for a page.
    pub page_seconds: u64,
    /// Most megabytes of what was recognised that are kept, so that it need not be recognised again.
    pub cache_mb: u64,
}

/// Whether something is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enabled {
    /// If it is there.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// How questions are answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// How many passages a question gets unless it says otherwise.
    pub passages: usize,
    /// Most tokens of the passages that the model reads: of their sentences, those that bear most on the question. More
    /// finds more and takes longer: .3 to .6 s for 100 tokens on two cores with the 1.5B model.
    pub context_tokens: usize,
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// How many people may wait for the model; the next one is asked to come back.
    pub queue: usize,
    /// What happens to a sentence of an answer that nothing in the files supports: `drop` (default) leaves it out,
    /// `mark` shows it with a remark.
    pub unsupported: Unsupported,
    /// A file of refusals that were fitted for other models or questions, in place of those of the program. A relative
    /// path is taken from the folder of the settings, as all of them are.
    pub refusals: Option<PathBuf>,
}

/// What happens to a sentence that nothing in the files supports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unsupported {
    /// It is left out.
    #[default]
    Drop,
    /// It is shown with a remark.
    Mark,
}

/// The collection that is used when none is named.
pub fn default_collection() -> String {
    "default".to_owned()
}

impl Default for Models {
    fn default() -> Self {
        Self {
            folder: user_data_folder().join("models"),
            generator: "qwen2.5-coder-1.5b".to_owned(),
            embedder: "all-minilm-l6-v2".to_owned(),
            precision: Precision::Fp32,
        }
    }
}

impl Default for Retrieval {
    fn default() -> Self {
        Self { reranker: NO_RERANKER.to_owned(), rerank_ms: 400 }
    }
}

impl Default for Serve {
    fn default() -> Self {
        Self { addr: "127.0.0.1:7878".to_owned(), hosts: Vec::new(), max_upload_mb: 200 }
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self { seconds: 120, memory_mb: 2048, output_mb: 512, program: None }
    }
}

impl Default for Ocr {
    fn default() -> Self {
        Self { enabled: Enabled::Auto, languages: "eng".to_owned(), pages_at_once: 0, page_seconds: 60, cache_mb: 512 }
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            passages: 8,
            context_tokens: 700,
            max_tokens: 200,
            queue: 8,
            unsupported: Unsupported::Drop,
            refusals: None,
        }
    }
}

/// `premise` in the user's data folder: `$XDG_DATA_HOME`, else `~/.local/share`.
pub fn user_data_folder() -> PathBuf {
    env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| env::home_dir().map(|home| home.join(".local/share")))
        .unwrap_or_else(|| PathBuf::from("."))
        .join("premise")
}

/// The settings of a data folder. `PREMISE_MODELS_DIR`, `PREMISE_GENERATOR`, `PREMISE_EMBEDDER`, `PREMISE_QDRANT_URL`
/// and `PREMISE_QDRANT_API_KEY` override the file; a relative path among them is taken from the current folder.
pub fn load(data_dir: &Path) -> Result<Settings> {
    let path = data_dir.join(FILE);
    let mut settings = match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text).map_err(|reason| {
            Error::new(
                Kind::BadInput,
                "bad_settings",
                format!("cannot read the settings in {}: {reason}", path.display()),
                "Correct that line; README.md lists every setting",
            )
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Settings::default(),
        Err(error) => return Err(Error::io(format_args!("read {}", path.display()), &error)),
    };
    settings.take_paths_from(data_dir);
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(folder) = set("PREMISE_MODELS_DIR") {
        settings.models.folder = folder.into();
    }
    if let Some(generator) = set("PREMISE_GENERATOR") {
        settings.models.generator = generator;
    }
    if let Some(embedder) = set("PREMISE_EMBEDDER") {
        settings.models.embedder = embedder;
    }
    if let Some(url) = set("PREMISE_QDRANT_URL") {
        settings.store.url = Some(url);
    }
    if let Some(key) = set("PREMISE_QDRANT_API_KEY") {
        settings.store.api_key = Some(key);
    }
    Ok(settings)
}

impl Settings {
    /// Takes relative paths from the folder of the settings, wherever the program was started.
    fn take_paths_from(&mut self, folder: &Path) {
        let paths = std::iter::once(&mut self.models.folder)
            .chain(self.sync.folders.iter_mut().map(|synced| &mut synced.path))
            .chain(self.passwords.values_mut())
            .chain(self.answer.refusals.as_mut());
        for path in paths {
            *path = folder.join(path.as_path());
        }
        let models = &mut self.models;
        let named = [
            (local::is_gguf(&models.generator), &mut models.generator),
            (local::is_path(&models.embedder), &mut models.embedder),
            (local::is_path(&self.retrieval.reranker), &mut self.retrieval.reranker),
        ];
        for (_, model) in named.into_iter().filter(|(is_path, _)| *is_path) {
            *model = folder.join(model.as_str()).display().to_string();
        }
    }
}

fn parse(text: &str) -> std::result::Result<Settings, String> {
    let settings: Settings = toml::from_str(text).map_err(|error| error.to_string())?;
    if let Some(cron) = &settings.sync.cron {
        crate::jobs::parse_cron(cron)?;
    }
    if settings.answer.passages == 0 || settings.answer.max_tokens == 0 || settings.answer.queue == 0 {
        return Err("the numbers under [answer] must be above 0".to_owned());
    }
    if settings.reading.seconds == 0 || settings.reading.output_mb == 0 || settings.reading.memory_mb < 256 {
        return Err("under [reading], seconds and output_mb must be above 0, and memory_mb at least 256".to_owned());
    }
    let language = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !settings.ocr.languages.split('+').all(language) || settings.ocr.page_seconds == 0 {
        return Err(
            "under [ocr], languages must be names such as \"eng\" or \"eng+deu\", and page_seconds above 0".to_owned()
        );
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: std::result::Result<(), &str>) {
        match (parse(text), expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (result, expected) => panic!("{text}: {result:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn settings_are_checked_where_they_are_read() {
        check("", Ok(()));
        check("[sync]\ncron = \"0 2 * * *\"\nfolders = [{ path = \"/srv/files\", collection = \"matters\" }]", Ok(()));
        check("[sync]\ncron = \"at two\"", Err("cron"));
        check("[sink]\n", Err("unknown field `sink`"));
        check("[models]\nprecision = \"int4\"", Ok(()));
        check("[models]\nprecision = \"int5\"", Err("unknown variant `int5`, expected one of `fp32`"));
        check("[retrieval]\nreranker = \"bge-reranker-base\"\nrerank_ms = -1", Err("rerank_ms"));
        check("[answer]\npassages = 0", Err("above 0"));
        check("[reading]\nmemory_mb = 100", Err("at least 256"));
        check("[ocr]\nenabled = \"off\"\nlanguages = \"eng+chi_sim\"", Ok(()));
        check("[ocr]\nlanguages = \"eng, deu\"", Err("eng+deu"));
        check("[passwords]\nleases = \"/srv/leases.passwords\"", Ok(()));
        check("[reading]\nprogram = \"/bin/true\"", Err("unknown field `program`"));
    }

    #[test]
    fn a_relative_path_is_taken_from_the_folder_of_the_settings() {
        let text = "[models]\nfolder = \"models\"\ngenerator = \"own.gguf\"\nembedder = \"bge-m3\"\n\
                    [retrieval]\nreranker = \"./judge\"\n[sync]\nfolders = [{ path = \"letters\" }]\n\
                    [passwords]\nleases = \"/srv/leases.passwords\"\n[answer]\nrefusals = \"refusals.json\"";
        let mut settings = parse(text).expect("parses");
        settings.take_paths_from(Path::new("/data"));
        let paths = [
            Some(&settings.models.folder),
            settings.sync.folders.first().map(|synced| &synced.path),
            settings.passwords.get("leases"),
            settings.answer.refusals.as_ref(),
        ];
        assert_eq!(
            paths.map(|path| path.map(|path| path.display().to_string()).unwrap_or_default()),
            ["/data/models", "/data/letters", "/srv/leases.passwords", "/data/refusals.json"]
        );
        assert_eq!(
            [&settings.models.generator, &settings.models.embedder, &settings.retrieval.reranker],
            ["/data/own.gguf", "bge-m3", "/data/./judge"]
        );
    }

    #[test]
    fn without_a_setting_there_is_no_reranker() {
        let reranker = |text| parse(text).expect("parses").retrieval.reranker().map(str::to_owned);
        assert_eq!(reranker(""), None);
        assert_eq!(reranker("[retrieval]\nreranker = \"none\""), None);
        assert_eq!(reranker("[retrieval]\nreranker = \"/srv/reranker\""), Some("/srv/reranker".to_owned()));
    }

    #[test]
    fn a_folder_without_a_collection_goes_into_the_default_one() {
        let settings = parse("[sync]\nfolders = [{ path = \"/srv/files\" }]").expect("parses");
        assert_eq!(settings.sync.folders[0].collection, "default");
    }
}
