//! The child's side: shuts itself in, then reads files from standard input until it ends.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use premise_ingest::{Limits, Reading};

use super::{
    sandbox,
    wire::{self, Refusal, Setup},
};
use crate::error::Error;

/// A setup is a few numbers.
const MAX_SETUP_BYTES: u64 = 1 << 16;
const MAX_NAME_BYTES: u64 = 1 << 16;

/// Reads files until standard input ends; the hidden verb of the command line.
pub fn serve() -> ExitCode {
    // Nothing of a file goes to a log, and nobody empties standard error while a file is read.
    std::panic::set_hook(Box::new(|_| {}));
    close_what_was_left_open();
    match serve_files() {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Whoever started the program may have left files open in it; they are none of a reader's.
fn close_what_was_left_open() {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<i32> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // The one that listed them is closed by now: that it is told so is of no consequence.
    let _ = numbers.into_iter().filter(|&number| number > 2).map(nix::unistd::close).collect::<Vec<_>>();
}

fn serve_files() -> io::Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let setup: Setup = wire::unpack(&wire::receive(&mut input, MAX_SETUP_BYTES)?)?;
    // The walls let no thread be made; what would be done by several is done by this one.
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().map_err(io::Error::other)?;
    let confinement = sandbox::confine(setup.memory_bytes);
    wire::send(&mut output, &wire::pack(&confinement)?)?;
    loop {
        let name = String::from_utf8(wire::receive(&mut input, MAX_NAME_BYTES)?).map_err(io::Error::other)?;
        let bytes = wire::receive(&mut input, setup.limits.max_bytes as u64)?;
        let reply = read(&name, &bytes, &setup.limits);
        let mut packed = wire::pack(&reply)?;
        drop(reply);
        if packed.len() as u64 > setup.output_bytes {
            packed = wire::pack(&Err::<Reading, _>(Refusal::Output))?;
        }
        wire::send(&mut output, &packed)?;
        output.flush()?;
    }
}

fn read(name: &str, bytes: &[u8], limits: &Limits) -> Result<Reading, Refusal> {
    catch_unwind(AssertUnwindSafe(|| premise_ingest::read_with_attachments(name, bytes, limits)))
        .map_err(|_| Refusal::Panic)?
        .map_err(|error| Error::from(error).into())
}
