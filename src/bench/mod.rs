//! Measurements of this machine, each in turns with a peer so that both meet the same load.

pub mod generate;
pub mod llama_cpp;
