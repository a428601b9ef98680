//! The `premise` program.

fn main() -> std::process::ExitCode {
    premise::cli::run()
}
