//! From the model's scores to the next token.

use super::GenerateOptions;

/// Chooses tokens by the rules of one request.
pub(super) struct Sampler {
    temperature: f32,
    top_p: f32,
    state: u64,
}

impl Sampler {
    /// A sampler that gives the same tokens for the same options and scores.
    pub(super) fn new(options: &GenerateOptions) -> Self {
        Self { temperature: options.temperature, top_p: options.top_p, state: options.seed }
    }

    /// The next token.
    pub(super) fn next(&mut self, scores: &[f32]) -> u32 {
        let best = likeliest(scores);
        if self.temperature <= 0.0 {
            return best as u32;
        }
        let weight = |score: f32| ((score - scores[best]) / self.temperature).exp();
        let mut candidates: Vec<(u32, f32)> = (0..).zip(scores.iter().map(|score| weight(*score))).collect();
        candidates.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
        let total: f32 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut kept = 0.0;
        let enough = candidates.iter().position(|(_, weight)| {
            kept += weight;
            kept >= self.top_p * total
        });
        candidates.truncate(enough.map_or(candidates.len(), |at| at + 1));
        let mut left = self.uniform() * kept;
        let chosen = candidates.iter().find(|(_, weight)| {
            left -= weight;
            left <= 0.0
        });
        chosen.map_or(best as u32, |(token, _)| *token)
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014), the upper 24 bits as a number in [0, 1).
    fn uniform(&mut self) -> f32 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }
}

/// The natural logarithm of the probability that `scores` give to `token`.
pub(super) fn log_probability(scores: &[f32], token: u32) -> f64 {
    f64::from(scores[token as usize] - scores[likeliest(scores)]) - log_total(scores)
}

/// Logarithm of the sum of e^(score - highest).
fn log_total(scores: &[f32]) -> f64 {
    let highest = scores[likeliest(scores)];
    scores.iter().map(|score| f64::from((score - highest).exp())).sum::<f64>().ln()
}

/// The place of the highest score; the first of equals.
fn likeliest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (at, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(temperature: f32, top_p: f32, seed: u64) -> Vec<u32> {
        let options = GenerateOptions { temperature, top_p, seed, ..GenerateOptions::default() };
        let mut sampler = Sampler::new(&options);
        (0..200).map(|_| sampler.next(&[0.0, 2.0, 1.0, -20.0])).collect()
    }

    #[test]
    fn probabilities_are_those_of_a_softmax() {
        let scores = [0.0, 2.0, 1.0, -20.0];
        let total = 1.0 + 2f64.exp() + 1f64.exp() + (-20f64).exp();
        assert!((log_probability(&scores, 2) - (1.0 - total.ln())).abs() < 1e-6);
    }

    #[test]
    fn temperature_zero_takes_the_likeliest() {
        assert!(choose(0.0, 0.95, 1).iter().all(|token| *token == 1));
    }

    #[test]
    fn the_same_seed_gives_the_same_tokens() {
        assert_eq!(choose(1.0, 1.0, 7), choose(1.0, 1.0, 7));
        assert_ne!(choose(1.0, 1.0, 7), choose(1.0, 1.0, 8));
    }

    #[test]
    fn likelier_tokens_come_more_often_and_unlikely_ones_not_at_all() {
        let chosen = choose(1.0, 0.99, 3);
        let count = |token| chosen.iter().filter(|chosen| **chosen == token).count();
        assert!(count(1) > count(2) && count(2) > count(0) && count(0) > 0);
        assert_eq!(count(3), 0);
        assert!(choose(1.0, 0.5, 3).iter().all(|token| *token == 1));
    }
}
