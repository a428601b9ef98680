//! How sure a figure is: bootstrap intervals, and a paired test of two runs.

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Estimate {
    pub mean: f64,
    /// 2.5th percentile of the bootstrap.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
    /// How many questions.
    pub n: usize,
}

/// A difference of two runs over the same questions.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Difference {
    /// This run less the other one.
    pub mean: f64,
    /// How likely a difference of this size is when the runs are alike: sign-flip test, two-sided.
    pub p: f64,
    /// How many questions both runs have.
    pub n: usize,
}

const RESAMPLES: usize = 1_000;
const FLIPS: usize = 2_000;
const SEED: u64 = 13;

/// The mean of some questions' values, with the percentile interval of 1,000 resamples over questions (Efron and
/// Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). Nothing without values.
pub(super) fn estimate(values: &[f64]) -> Option<Estimate> {
    if values.is_empty() {
        return None;
    }
    let (low, high) = interval(values.len(), |sample| mean(sample.iter().map(|at| values[*at])));
    Some(Estimate { mean: mean(values.iter().copied()), low, high, n: values.len() })
}

/// The 95 % interval of a figure that a sample of the questions' numbers gives.
pub(super) fn interval(questions: usize, figure: impl Fn(&[usize]) -> f64) -> (f64, f64) {
    let mut random = Random(SEED);
    let mut figures: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sample: Vec<usize> = (0..questions).map(|_| random.below(questions)).collect();
            figure(&sample)
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    (figures[RESAMPLES * 25 / 1000], figures[RESAMPLES * 975 / 1000 - 1])
}

/// Whether two runs differ: the signs of the questions' differences are flipped at random, 2,000 times (Fisher's
/// randomisation test; Smucker, Allan and Carterette, CIKM 2007, recommend it for retrieval).
pub(super) fn compare(pairs: &[(f64, f64)]) -> Option<Difference> {
    if pairs.is_empty() {
        return None;
    }
    let differences: Vec<f64> = pairs.iter().map(|(this, other)| this - other).collect();
    let sum: f64 = differences.iter().sum();
    let mut random = Random(SEED);
    let as_far = (0..FLIPS)
        .filter(|_| {
            let flipped: f64 = differences.iter().map(|d| if random.next() & 1 == 0 { *d } else { -d }).sum();
            flipped.abs() >= sum.abs() - 1e-12
        })
        .count();
    let p = (as_far + 1) as f64 / (FLIPS + 1) as f64;
    Some(Difference { mean: sum / pairs.len() as f64, p, n: pairs.len() })
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    values.sum::<f64>() / count as f64
}

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014): the same numbers on every machine.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_the_mean_and_narrows_with_more_questions() {
        let few: Vec<f64> = (0..20).map(|at| f64::from(at % 2)).collect();
        let many: Vec<f64> = (0..2_000).map(|at| f64::from(at % 2)).collect();
        let (few, many) = (estimate(&few).expect("values"), estimate(&many).expect("values"));
        assert!((few.mean - 0.5).abs() < 1e-9 && few.low < 0.5 && few.high > 0.5);
        // The standard error of a share of one half is .112 with 20 questions and .011 with 2,000.
        assert!((few.high - few.low - 4.0 * 0.112).abs() < 0.08, "{few:?}");
        assert!((many.high - many.low - 4.0 * 0.0112).abs() < 0.008, "{many:?}");
        assert_eq!(estimate(&[]), None);
    }

    #[test]
    fn a_real_difference_is_told_from_none() {
        let better: Vec<(f64, f64)> = (0..40).map(|at| (0.6 + f64::from(at % 3) * 0.1, 0.5)).collect();
        assert!(compare(&better).expect("pairs").p < 0.001);
        let alike: Vec<(f64, f64)> = (0..40).map(|at| if at % 2 == 0 { (0.6, 0.5) } else { (0.5, 0.6) }).collect();
        let alike = compare(&alike).expect("pairs");
        assert!(alike.p > 0.5 && alike.mean.abs() < 1e-9, "{alike:?}");
        assert!(compare(&[(0.5, 0.5)]).expect("a pair").p > 0.99);
    }
}
