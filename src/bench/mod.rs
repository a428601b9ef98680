//! `premise bench`: how fast this machine is, with a limit or a peer measured in the same run, so that both meet the
//! same load.

pub mod fidelity;
pub mod generate;
pub mod llama_cpp;
pub mod search;
