//! `premise sync --cron`: a sync now, then one whenever the clock says so, each in a process of its own. So each finds a
//! server that came or went meanwhile, reads the settings as they are then, and has no way out once it has the files.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use chrono::Local;
use rustix::process::{Pid, Signal, kill_process};

use super::{Form, show};
use crate::{
    error::{Error, Kind, Result},
    jobs,
};

/// Between two looks at the clock and at whether it is to end.
const TICK: Duration = Duration::from_millis(200);

/// Syncs the folder, or the folders of the settings, until stopped. One that fails has told so itself, and the next one
/// is tried. Blocks.
pub(super) fn sync(
    data_dir: &Path,
    folder: Option<&Path>,
    collection: &str,
    cron: &str,
    stop: &AtomicBool,
    form: Form,
) -> Result<ExitCode> {
    let cron = jobs::parse_cron(cron)
        .map_err(|reason| Error::new(Kind::BadInput, "bad_cron", reason, "Write five fields, such as \"0 2 * * *\""))?;
    // This program, even when the file has been replaced by a newer one.
    let mut once = Command::new("/proc/self/exe");
    once.arg("--data-dir").arg(data_dir).arg("sync").stdin(Stdio::null());
    // Ctrl-C is for this process alone, which passes it on once.
    once.process_group(0);
    if let Some(folder) = folder {
        once.arg(folder).args(["--collection", collection]);
    }
    if form.json {
        once.arg("--json");
    }
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = run(&mut once, stop) {
            show::error(&Error::io("start a sync", &error), form.json);
        }
        let Ok(next) = cron.find_next_occurrence(&Local::now(), false) else { break };
        if !form.json && !stop.load(Ordering::Relaxed) {
            println!("Next sync: {}", next.format("%Y-%m-%d %H:%M:%S"));
        }
        while Local::now() < next && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
        }
    }
    Ok(ExitCode::from(130))
}

/// Runs it to its end; when stopped meanwhile, it is asked to end in order.
fn run(command: &mut Command, stop: &AtomicBool) -> io::Result<()> {
    let mut child = command.spawn()?;
    let mut asked = false;
    while child.try_wait()?.is_none() {
        if !asked && stop.load(Ordering::Relaxed) {
            asked = true;
            kill_process(Pid::from_child(&child), Signal::TERM)?;
        }
        std::thread::sleep(TICK);
    }
    Ok(())
}
