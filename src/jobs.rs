//! The clock: the folders of the settings are synced when their cron expression says so, while people ask.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, Local};
use croner::Cron;
use tracing::{error, info};

use crate::{
    config,
    error::Result,
    library::{Library, SyncReport},
};

/// Reads a cron expression.
pub fn parse_cron(expression: &str) -> std::result::Result<Cron, String> {
    Cron::from_str(expression).map_err(|error| format!("sync.cron \"{expression}\" is not a cron expression: {error}"))
}

/// When a sync is due next after `now`, if the settings ask for any.
pub fn next_sync(settings: &config::Sync, now: DateTime<Local>) -> Option<DateTime<Local>> {
    let cron = parse_cron(settings.cron.as_ref()?).ok()?;
    if settings.folders.is_empty() {
        return None;
    }
    cron.find_next_occurrence(&now, false).ok()
}

/// Syncs all folders of the settings, one after the other. Blocks.
pub fn sync_all(library: &Library, settings: &config::Sync, stop: &AtomicBool) -> Vec<Result<SyncReport>> {
    settings
        .folders
        .iter()
        .take_while(|_| !stop.load(Ordering::Relaxed))
        .map(|folder| library.sync(&folder.collection, &folder.path, stop, &|_| {}))
        .collect()
}

/// Runs for as long as the server does. A sync that is under way when `stop` is raised ends with what it has.
pub async fn run(library: Arc<Library>, settings: config::Sync, stop: Arc<AtomicBool>) {
    while let Some(next) = next_sync(&settings, Local::now()) {
        info!(%next, "next sync");
        // Short waits, so that a clock that was set or a machine that slept is noticed.
        while Local::now() < next {
            let left = (next - Local::now()).to_std().unwrap_or_default();
            tokio::time::sleep(left.min(std::time::Duration::from_secs(30))).await;
        }
        let (library, folders, stop) = (library.clone(), settings.clone(), stop.clone());
        let synced = tokio::task::spawn_blocking(move || sync_all(&library, &folders, &stop)).await;
        for result in synced.unwrap_or_default() {
            if let Err(error) = result {
                error!(%error, hint = error.hint, "the nightly sync failed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nightly_sync_is_due_the_next_night() {
        let settings = config::Sync {
            cron: Some("0 2 * * *".to_owned()),
            folders: vec![config::SyncFolder { path: "/srv/files".into(), collection: "matters".to_owned() }],
        };
        let now = "2026-03-10T14:00:00+00:00".parse::<DateTime<chrono::Utc>>().expect("a time").with_timezone(&Local);
        let next = next_sync(&settings, now).expect("is due");
        assert_eq!(next.format("%H:%M").to_string(), "02:00");
        assert!(next > now && next - now <= chrono::Duration::hours(25));
        assert_eq!(next_sync(&config::Sync { folders: Vec::new(), ..settings }, now), None);
    }
}
