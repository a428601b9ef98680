//! `premise bench`: how fast this machine is, with a limit or a peer measured in the same run, so that both meet the
//! same load; and whether the model on it computes what its peer does.

pub mod fidelity;
pub mod generate;
pub mod llama_cpp;
pub mod search;

/// Numbers that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    /// The next number below `below`.
    fn below(&mut self, below: usize) -> usize {
        // Knuth's MMIX generator; its upper bits are the random ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}
