//! A world of its own for each test: a data folder, a folder of files, the small real models, a server, the binary.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use premise::{
    app,
    config::{self, Settings},
    datadir::{self, Owner},
    db::{DocumentRow, Listing},
    http,
    library::{Library, Passage, SearchRequest, SyncReport},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::oneshot};

use crate::server::{Server, agent};

/// Settings of every test: the smallest model, short answers.
pub(crate) const SETTINGS: &str = "\
[models]
generator = \"smollm2-135m\"
[answer]
passages = 4
context_tokens = 160
max_tokens = 32
";

pub(crate) struct World {
    runtime: Runtime,
    folder: TempDir,
    models: PathBuf,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_settings(SETTINGS)
    }

    pub(crate) fn with_settings(settings: &str) -> Self {
        Self::within(tempfile::tempdir().expect("a temporary folder can be made"), settings)
    }

    /// A world in a folder that is there already.
    pub(crate) fn within(folder: TempDir, settings: &str) -> Self {
        let models = std::env::var_os("PREMISE_MODELS_DIR")
            .expect("PREMISE_MODELS_DIR names no models folder: run `make test`, which fetches the models");
        let runtime = Runtime::new().expect("a runtime can be made");
        let world = Self { runtime, folder, models: models.into() };
        fs::create_dir_all(world.data_dir()).expect("a folder can be made");
        fs::create_dir_all(world.files()).expect("a folder can be made");
        fs::write(world.data_dir().join(config::FILE), settings).expect("settings can be written");
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The folder that is synced.
    pub(crate) fn files(&self) -> PathBuf {
        self.path().join("files")
    }

    pub(crate) fn models(&self) -> &Path {
        &self.models
    }

    /// Writes a file below the synced folder.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.files().join(name);
        fs::create_dir_all(path.parent().expect("the path has a folder")).expect("a folder can be made");
        fs::write(&path, bytes).expect("a file can be written");
        path
    }

    /// The library of the data folder, put in order as the program does at its start.
    pub(crate) fn library(&self) -> Arc<Library> {
        let library = self.unmended();
        library.mend(&AtomicBool::new(false), &|_| {}).expect("the index can be mended");
        library
    }

    /// The library as a crash may have left it.
    pub(crate) fn unmended(&self) -> Arc<Library> {
        self.library_with(&self.settings())
    }

    pub(crate) fn library_with(&self, settings: &Settings) -> Arc<Library> {
        let _within = self.runtime.enter();
        Arc::new(app::open_library(&self.data_dir(), settings).expect("the library opens"))
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = config::load(&self.data_dir()).expect("the settings are good");
        // The folder's own index, whatever the developer's environment says.
        settings.store = config::Store::default();
        // This process is the test, not the program.
        settings.reading.program = Some(env!("CARGO_BIN_EXE_premise").into());
        settings
    }

    pub(crate) fn sync(&self, library: &Library) -> SyncReport {
        library.sync("default", &self.files(), &AtomicBool::new(false), &|_| {}).expect("the folder can be synced")
    }

    pub(crate) fn search(&self, library: &Arc<Library>, question: &str) -> Vec<Passage> {
        let request = SearchRequest { question: question.to_owned(), ..SearchRequest::default() };
        self.block_on(library.search(&request)).expect("the question can be searched").passages
    }

    /// Makes this world's runtime the one of this thread.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Serves the library within this process on a free port.
    pub(crate) fn serve(&self) -> Server {
        self.serve_library(self.library())
    }

    pub(crate) fn serve_library(&self, library: Arc<Library>) -> Server {
        let Owner::Us(owned) = datadir::open(&self.data_dir()).expect("the data folder opens") else {
            panic!("nobody else has the data folder")
        };
        let listener = self.block_on(http::bind("127.0.0.1:0")).expect("a free port can be bound");
        let service = http::prepare(listener, library.clone(), self.settings(), owned).expect("it can be served");
        let addr = service.addr().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = self.runtime.spawn(service.run(async {
            let _ = stopped.await;
        }));
        let Ok(Owner::Server(contact)) = datadir::open(&self.data_dir()) else { panic!("the server has the folder") };
        Server { library, addr, contact, agent: agent(), stop: Some(stop), running: Some(running) }
    }

    /// Ends a server as Ctrl-C does and waits for its end.
    pub(crate) fn shut_down(&self, mut server: Server) {
        drop(server.stop.take());
        let running = server.running.take().expect("it runs until now");
        self.block_on(async { tokio::time::timeout(HANGS, running).await })
            .expect("the server ends soon")
            .expect("the server does not panic")
            .expect("the server ends without an error");
    }

    /// The binary with this world's data folder and models.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_premise"));
        command.arg("--data-dir").arg(self.data_dir()).args(args).current_dir(self.path()).stdin(Stdio::null());
        for name in [
            "PREMISE_DATA_DIR",
            "PREMISE_GENERATOR",
            "PREMISE_EMBEDDER",
            "PREMISE_QDRANT_URL",
            "RUST_LOG",
            "PREMISE_LOG",
        ] {
            command.env_remove(name);
        }
        command.env("PREMISE_MODELS_DIR", &self.models);
        command
    }

    pub(crate) fn premise(&self, args: &[&str]) -> Done {
        Done::of(self.command(args))
    }

    /// Starts `premise serve` on a free port and waits until it says its address.
    pub(crate) fn spawn_server(&self) -> Spawned {
        let mut command = self.command(&["serve", "--addr", "127.0.0.1:0"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = Spawned(command.spawn().expect("the binary starts"));
        let mut said = String::new();
        // It stays open: the server may say more.
        let stdout = server.0.stdout.as_mut().expect("its output is piped");
        let mut byte = [0];
        while !said.ends_with('\n') && stdout.read(&mut byte).is_ok_and(|read| read > 0) {
            said.push(byte[0].into());
        }
        assert!(said.contains("http://127.0.0.1:"), "it says its address: {said:?}");
        server
    }
}

/// The binary as a process that runs on; it ends with the value.
pub(crate) struct Spawned(pub(crate) Child);

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A run of the binary that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the binary starts");
        let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
        Self { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// What a run that went well printed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The JSON of a run that ended with that code.
    #[track_caller]
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// A run that could not do what was asked says so on standard error, with a hint, and prints no result.
    #[track_caller]
    pub(crate) fn says(&self, sentence: &str, hint: &str) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        // A server logs before it.
        let said = self.err.find("premise: ").map(|at| &self.err[at..]).unwrap_or_default();
        let (said, hinted) = said.trim_end().rsplit_once("\n  ").unwrap_or_default();
        assert!(said.contains(sentence), "{sentence}: {self:?}");
        assert!(hinted.contains(hint), "{hint}: {self:?}");
    }
}

/// All documents of the ledger by file name.
pub(crate) fn documents(library: &Library) -> Vec<DocumentRow> {
    let all = Listing { limit: 100_000, ..Listing::default() };
    library.db().documents(&all).expect("the ledger can be read").0
}

/// File names of the documents.
pub(crate) fn files(library: &Library) -> Vec<String> {
    documents(library).into_iter().map(|row| row.file).collect()
}

/// What has not ended after so long hangs: a slow and busy machine takes far less.
pub(crate) const HANGS: Duration = Duration::from_mins(10);

/// Asks again and again until `condition` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANGS;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
