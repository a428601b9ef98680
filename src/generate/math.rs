//! The loops between the matrix products. Each is compiled plainly, for AVX2 and for AVX-512, and chosen when called: about a
//! nanosecond, so a function does a whole row or head.
#![expect(
    clippy::inline_always,
    reason = "a body is only vectorised for the CPU of the function that it is inlined into"
)]

/// Lanes that a sum is spread over, so that it can be vectorised.
const LANES: usize = 16;

/// Adding 1.5 * 2^23 leaves the nearest whole number in the lowest bits; unlike `f32::round` it vectorises.
const MAGIC: f32 = 12_582_912.0;

macro_rules! vectorised {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $body:block)*) => {$(
        $(#[$doc])*
        pub(super) fn $name($($argument: $type),*) {
            #[inline(always)]
            fn plain($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
                fn widest($($argument: $type),*) {
                    plain($($argument),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn wide($($argument: $type),*) {
                    plain($($argument),*);
                }
                if is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                {
                    // SAFETY: the CPU has just said that it has them; the others come with these.
                    return unsafe { widest($($argument),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the CPU has just said that it has both.
                    return unsafe { wide($($argument),*) };
                }
            }
            plain($($argument),*);
        }
    )*};
}

vectorised! {
    /// Root-mean-square norm of one row, in place (Zhang, Sennrich 2019).
    fn rms_norm(row: &mut [f32], weight: &[f32], epsilon: f32) {
        let scale = 1.0 / (dot(row, row) / row.len() as f32 + epsilon).sqrt();
        for (x, weight) in row.iter_mut().zip(weight) {
            *x = *x * scale * weight;
        }
    }

    /// `gate` becomes silu(gate) * up.
    fn gate(gate: &mut [f32], up: &[f32]) {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = *gate / (1.0 + exp(-*gate)) * up;
        }
    }

    /// `gate` becomes gelu(gate) * up, by the approximation with tanh (Hendrycks, Gimpel 2016).
    fn gelu_gate(gate: &mut [f32], up: &[f32]) {
        const ROOT: f32 = 0.797_884_6; // sqrt(2 / pi)
        for (gate, up) in gate.iter_mut().zip(up) {
            let x = *gate;
            // x / 2 * (1 + tanh(y)) is x / (1 + e^-2y).
            *gate = x / (1.0 + exp(-2.0 * ROOT * x * (1.0 + 0.044_715 * x * x))) * up;
        }
    }

    /// Rounds the numbers of a span to -127..=127 of the scale that it answers.
    fn round(values: &[f32], rounded: &mut [i8], scale: &mut f32) {
        let mut lanes = [0f32; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for (highest, value) in lanes.iter_mut().zip(chunk) {
                *highest = if value.abs() > *highest { value.abs() } else { *highest };
            }
        }
        let highest = lanes.iter().chain(rest).fold(0.0, |highest: f32, value| highest.max(value.abs()));
        let inverse = if highest > 0.0 { 127.0 / highest } else { 0.0 };
        for (rounded, value) in rounded.iter_mut().zip(values) {
            *rounded = ((value * inverse + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32) as i8;
        }
        *scale = highest / 127.0;
    }

    /// The sum of each 16 of `values`.
    fn sum_sixteens(sums: &mut [i32], values: &[i8]) {
        for (sum, values) in sums.iter_mut().zip(values.as_chunks::<16>().0) {
            *sum = values.iter().map(|value| i32::from(*value)).sum();
        }
    }

    /// `into` becomes `from` times `factor`.
    fn scale_into(into: &mut [f32], from: &[f32], factor: f32) {
        for (into, from) in into.iter_mut().zip(from) {
            *into = from * factor;
        }
    }

    /// Adds `more` to `sum`.
    fn add(sum: &mut [f32], more: &[f32]) {
        for (sum, more) in sum.iter_mut().zip(more) {
            *sum += more;
        }
    }

    /// One step of a running softmax: `row` becomes e^((x - highest) * scale), where `highest` is the greater of what it
    /// was and what `row` holds, and `total` the sum of the new row.
    fn softmax_step(row: &mut [f32], scale: f32, highest: &mut f32, total: &mut f32) {
        let mut lanes_highest = [f32::NEG_INFINITY; LANES];
        let (lanes, rest) = row.as_chunks::<LANES>();
        for chunk in lanes {
            for (highest, x) in lanes_highest.iter_mut().zip(chunk) {
                *highest = if *x > *highest { *x } else { *highest };
            }
        }
        let peak = lanes_highest.iter().chain(rest).fold(*highest, |a, b| a.max(*b));
        let mut sums = [0.0; LANES];
        let (lanes, rest) = row.as_chunks_mut::<LANES>();
        for chunk in lanes {
            for (x, sum) in chunk.iter_mut().zip(&mut sums) {
                *x = exp((*x - peak) * scale);
                *sum += *x;
            }
        }
        let mut sum: f32 = sums.iter().sum();
        for x in rest {
            *x = exp((*x - peak) * scale);
            sum += *x;
        }
        *highest = peak;
        *total = sum;
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// e^x within 3e-7 of its size: 2 to the nearest whole power by its bits, the rest by the Taylor polynomial.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let t = x.clamp(-87.0, 88.0) * std::f32::consts::LOG2_E;
    let whole = t + MAGIC;
    let f = t - (whole - MAGIC);
    let tail = 0.055_504_11 + f * (0.009_618_129 + f * (0.001_333_356 + f * 0.000_154_035_3));
    let power = 1.0 + f * (std::f32::consts::LN_2 + f * (0.240_226_5 + f * tail));
    f32::from_bits(whole.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_over_its_range() {
        for x in (-860..870).map(|x| x as f32 / 10.0) {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-5, "exp({x}) = {}", exp(x));
        }
    }

    #[test]
    fn a_softmax_in_steps_is_one_at_once() {
        let row: Vec<f32> = (0..37).map(|x| (x * 7 % 37) as f32).collect();
        let (mut highest, mut total) = (f32::NEG_INFINITY, 0.0);
        let mut whole = row.clone();
        softmax_step(&mut whole, 0.5, &mut highest, &mut total);
        assert!((highest - 36.0).abs() < 1e-6);

        let (mut peak, mut first_total, mut second_total) = (f32::NEG_INFINITY, 0.0, 0.0);
        let (mut first, mut second) = (row[..20].to_vec(), row[20..].to_vec());
        softmax_step(&mut first, 0.5, &mut peak, &mut first_total);
        let kept = ((peak - 36.0) * 0.5).exp();
        softmax_step(&mut second, 0.5, &mut peak, &mut second_total);
        assert!((first_total * kept + second_total - total).abs() < 1e-5);
        for (a, b) in whole.iter().zip(first.iter().map(|x| x * kept).chain(second)) {
            assert!((a - b).abs() < 1e-6);
        }
    }
}
