//! Premise answers questions of an office's own files with citations that can be checked, on the office's own machine.
//! ARCHITECTURE.md has the map.

pub mod app;
pub mod bench;
pub mod bundle;
pub mod cli;
pub mod config;
pub mod datadir;
pub mod db;
pub mod egress;
pub mod embed;
pub mod error;
pub mod eval;
pub mod generate;
pub mod http;
pub mod jobs;
pub mod library;
pub mod models;
mod orders;
pub mod prompt;
pub mod reader;
pub mod sparse;
pub mod store;
pub mod telemetry;
pub mod text;
pub mod worker;
