//! Logs: to standard error, in words or as JSON. Document text, questions and answers never reach them.

use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` sets the level (default: warnings, and `info` of this program when serving);
/// `PREMISE_LOG=json` writes JSON lines.
pub fn start(serving: bool) {
    let default = if serving { "warn,premise=info,qdrant_edge=error" } else { "error,premise=warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second start (in tests) keeps the first.
    let _already_started = if std::env::var("PREMISE_LOG").is_ok_and(|form| form == "json") {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}
