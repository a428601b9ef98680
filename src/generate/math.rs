//! The loops between the matrix products. Each is compiled twice, plainly and for AVX2, and chosen when called: about a
//! nanosecond, so a function does a whole row or head.
#![expect(
    clippy::inline_always,
    reason = "a body is only vectorised for the CPU of the function that it is inlined into"
)]

/// Lanes that a sum is spread over, so that it can be vectorised.
const LANES: usize = 16;

macro_rules! vectorised {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $body:block)*) => {$(
        $(#[$doc])*
        pub(super) fn $name($($argument: $type),*) {
            #[inline(always)]
            fn plain($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($argument: $type),*) {
                    plain($($argument),*);
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
    /// Root-mean-square norm of one row (Zhang, Sennrich 2019).
    fn rms_norm(out: &mut [f32], row: &[f32], weight: &[f32], epsilon: f32) {
        let scale = 1.0 / (dot(row, row) / row.len() as f32 + epsilon).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(row).zip(weight) {
            *out = x * scale * weight;
        }
    }

    /// `gate` becomes silu(gate) * up.
    fn gate(gate: &mut [f32], up: &[f32]) {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = *gate / (1.0 + exp(-*gate)) * up;
        }
    }

    /// Adds `more` to `sum`.
    fn add(sum: &mut [f32], more: &[f32]) {
        for (sum, more) in sum.iter_mut().zip(more) {
            *sum += more;
        }
    }

    /// Scores of the queries of one group against every key: `out` is queries x keys.
    fn scores(out: &mut [f32], queries: &[f32], keys: &[f32], size: usize) {
        let count = keys.len() / size;
        for (at, key) in keys.chunks_exact(size).enumerate() {
            for (row, query) in queries.chunks_exact(size).enumerate() {
                out[row * count + at] = dot(query, key);
            }
        }
    }

    /// Sums of all values by the weights of each query of one group: `out` is queries x size.
    fn weigh(out: &mut [f32], weights: &[f32], values: &[f32], size: usize) {
        let count = values.len() / size;
        out.fill(0.0);
        for (at, value) in values.chunks_exact(size).enumerate() {
            for (row, out) in out.chunks_exact_mut(size).enumerate() {
                let weight = weights[row * count + at];
                for (out, value) in out.iter_mut().zip(value) {
                    *out += weight * value;
                }
            }
        }
    }

    /// Softmax of `row * scale`.
    fn softmax(row: &mut [f32], scale: f32) {
        let mut highest = [f32::NEG_INFINITY; LANES];
        let (lanes, rest) = row.as_chunks::<LANES>();
        for chunk in lanes {
            for (highest, x) in highest.iter_mut().zip(chunk) {
                *highest = if *x > *highest { *x } else { *highest };
            }
        }
        let highest = highest.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let mut sums = [0.0; LANES];
        let (lanes, rest) = row.as_chunks_mut::<LANES>();
        for chunk in lanes {
            for (x, sum) in chunk.iter_mut().zip(&mut sums) {
                *x = exp((*x - highest) * scale);
                *sum += *x;
            }
        }
        let mut sum: f32 = sums.iter().sum();
        for x in rest {
            *x = exp((*x - highest) * scale);
            sum += *x;
        }
        let share = 1.0 / sum;
        for x in row {
            *x *= share;
        }
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
    let whole = (t + 0.5).floor();
    let f = t - whole;
    let tail = 0.055_504_11 + f * (0.009_618_129 + f * (0.001_333_356 + f * 0.000_154_035_3));
    let power = 1.0 + f * (std::f32::consts::LN_2 + f * (0.240_226_5 + f * tail));
    f32::from_bits(((whole as i32 + 127) << 23) as u32) * power
}

/// out = a * b^T (`b_is_transposed`: b has one row a column of `out`) or a * b, all row by row without gaps.
pub(super) fn multiply(out: &mut [f32], a: &[f32], b: &[f32], inner: usize, b_is_transposed: bool) {
    let (rows, columns) = (a.len() / inner, b.len() / inner);
    assert!(a.len() == rows * inner && b.len() == columns * inner && out.len() == rows * columns);
    let (b_column, b_row) = if b_is_transposed { (inner, 1) } else { (1, columns) };
    // SAFETY: every place that gemm reaches by these strides lies inside the three slices, by the sizes asserted above;
    // `out` is borrowed exclusively, and gemm does not read it (`read_dst` is false).
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            columns as isize,
            false,
            a.as_ptr(),
            1,
            inner as isize,
            b.as_ptr(),
            b_column as isize,
            b_row as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
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
    fn softmax_sums_to_one_and_keeps_order() {
        let mut row: Vec<f32> = (0..37).map(|x| (x * 7 % 37) as f32).collect();
        softmax(&mut row, 0.5);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(row[0] < row[1], "0 before 7");
    }

    #[test]
    fn both_products_agree_with_the_definition() {
        let a: Vec<f32> = (0..6).map(|x| x as f32).collect();
        let b: Vec<f32> = (0..12).map(|x| (x * x % 5) as f32).collect();
        let (mut plain, mut transposed) = ([0.0; 8], [0.0; 8]);
        multiply(&mut plain, &a, &b, 3, false);
        multiply(&mut transposed, &a, &b, 3, true);
        for row in 0..2 {
            for column in 0..4 {
                let sum = |place: &dyn Fn(usize) -> usize| (0..3).map(|k| a[row * 3 + k] * b[place(k)]).sum::<f32>();
                assert!((plain[row * 4 + column] - sum(&|k| k * 4 + column)).abs() < 1e-5);
                assert!((transposed[row * 4 + column] - sum(&|k| column * 3 + k)).abs() < 1e-5);
            }
        }
    }
}
