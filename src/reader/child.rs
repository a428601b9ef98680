//! The child's side: shuts itself in, then reads files from standard input until it ends.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use premise_ingest::{Limits, Picture, ReadOptions, Reading, Recognise, Recognised};

use super::{
    sandbox,
    wire::{self, Refusal, Request, Said, Setup},
};
use crate::error::Error;

/// A setup is a few numbers.
const MAX_SETUP_BYTES: u64 = 1 << 16;
/// A name and passwords.
const MAX_REQUEST_BYTES: u64 = 1 << 20;
/// Words of pages: the parent is trusted, but this end has no more memory than its own.
const MAX_WORDS_BYTES: u64 = 256 << 20;

/// Reads files until standard input ends; the hidden verb of the command line.
pub fn serve() -> ExitCode {
    // Nothing of a file goes to a log, and nobody empties standard error while a file is read.
    std::panic::set_hook(Box::new(|_| {}));
    sandbox::close_what_was_left_open();
    match serve_files() {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn serve_files() -> io::Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let setup: Setup = wire::unpack(&wire::receive(&mut input, MAX_SETUP_BYTES)?)?;
    // The walls let no thread be made; what would be done by several is done by this one.
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().map_err(io::Error::other)?;
    let confinement = sandbox::confine(setup.memory_bytes);
    wire::send(&mut output, &wire::pack(&confinement)?)?;
    let parent = Parent { input: RefCell::new(input), output: RefCell::new(output) };
    loop {
        let (request, bytes) = parent.next_file(&setup.limits)?;
        let reply = read(&request, &bytes, &setup.limits, &parent);
        let mut packed = wire::pack(&Said::Done(reply))?;
        if packed.len() as u64 > setup.output_bytes {
            packed = wire::pack(&Said::Done(Err(Refusal::Output)))?;
        }
        parent.send(&packed)?;
    }
}

fn read(request: &Request, bytes: &[u8], limits: &Limits, parent: &Parent) -> Result<Reading, Refusal> {
    let options = ReadOptions {
        limits: limits.clone(),
        passwords: request.passwords.clone(),
        recogniser: request.recognises.then_some(parent as &dyn Recognise),
    };
    catch_unwind(AssertUnwindSafe(|| premise_ingest::read_with(&request.file_name, bytes, &options)))
        .map_err(|_| Refusal::Panic)?
        .map_err(|error| Error::from(error).into())
}

/// The other end of the pipe, which also reads pictures: no program can be started here.
struct Parent {
    input: RefCell<File>,
    output: RefCell<File>,
}

impl Parent {
    fn next_file(&self, limits: &Limits) -> io::Result<(Request, Vec<u8>)> {
        let request = wire::unpack(&self.receive(MAX_REQUEST_BYTES)?)?;
        Ok((request, self.receive(limits.max_bytes as u64)?))
    }

    fn receive(&self, max_bytes: u64) -> io::Result<Vec<u8>> {
        wire::receive(&mut *self.input.borrow_mut(), max_bytes)
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        let mut output = self.output.borrow_mut();
        wire::send(&mut *output, frame)?;
        output.flush()
    }

    fn words_of(&self, pictures: &mut dyn Iterator<Item = Picture>) -> io::Result<Vec<Recognised>> {
        for picture in pictures {
            self.send(&wire::pack(&Said::Picture(picture))?)?;
        }
        self.send(&wire::pack(&Said::NoMorePictures)?)?;
        wire::unpack(&self.receive(MAX_WORDS_BYTES)?)
    }
}

impl Recognise for Parent {
    fn recognise(&self, pictures: &mut dyn Iterator<Item = Picture>) -> Vec<Recognised> {
        // Without the parent nobody waits for the rest either.
        self.words_of(pictures).unwrap_or_default()
    }
}
