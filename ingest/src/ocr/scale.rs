//! Pictures made larger or smaller.

use super::Picture;

/// The picture with `factor` times as many pixels along each side: the mean of what falls into a pixel, or what lies
/// between four.
pub(super) fn scaled(picture: &Picture, factor: f32) -> Picture {
    let side = |pixels: usize| ((pixels as f32 * factor).round() as usize).max(1);
    let (width, height) = (side(picture.width), side(picture.height));
    let across = spans(picture.width, width);
    let down = spans(picture.height, height);
    // Rows first, since each is used for all of its pixels.
    let mut rows = vec![0.0_f32; picture.height * width];
    for y in 0..picture.height {
        let from = &picture.grey[y * picture.width..(y + 1) * picture.width];
        for (to, span) in rows[y * width..(y + 1) * width].iter_mut().zip(&across) {
            *to = span.weights.iter().zip(&from[span.start..]).map(|(weight, &grey)| weight * f32::from(grey)).sum();
        }
    }
    let mut grey = Vec::with_capacity(width * height);
    for span in &down {
        for x in 0..width {
            let column = (span.start..).map(|y| rows[y * width + x]);
            let sum: f32 = span.weights.iter().zip(column).map(|(weight, grey)| weight * grey).sum();
            grey.push(sum.round().clamp(0.0, 255.0) as u8);
        }
    }
    Picture { width, height, grey, pixels_per_point: picture.pixels_per_point * factor }
}

/// Which old pixels a new one is made of.
struct Span {
    start: usize,
    weights: Vec<f32>,
}

fn spans(old: usize, new: usize) -> Vec<Span> {
    let step = old as f32 / new as f32;
    // A tent as wide as the larger of the two pixels.
    let reach = step.max(1.0);
    let span = |at: usize| {
        let middle = (at as f32 + 0.5) * step - 0.5;
        let start = (middle - reach).ceil().max(0.0) as usize;
        let end = ((middle + reach).floor() as usize).min(old - 1).max(start.min(old - 1));
        let start = start.min(old - 1);
        let mut weights: Vec<f32> =
            (start..=end).map(|pixel| (1.0 - (pixel as f32 - middle).abs() / reach).max(1e-4)).collect();
        let sum: f32 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        Span { start, weights }
    };
    (0..new).map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_look_in_another_size() {
        // Left half black, right half white.
        let grey = (0..40 * 20).map(|at| if at % 40 < 20 { 0 } else { 255 }).collect();
        let picture = Picture { width: 40, height: 20, grey, pixels_per_point: 2.0 };
        for factor in [0.25, 0.5, 1.0, 1.5, 3.0] {
            let scaled = scaled(&picture, factor);
            assert_eq!((scaled.width, scaled.height), ((40.0 * factor) as usize, (20.0 * factor) as usize));
            assert!((scaled.pixels_per_point - 2.0 * factor).abs() < 1e-6);
            let middle = scaled.height / 2 * scaled.width;
            assert_eq!((scaled.grey[middle], scaled.grey[middle + scaled.width - 1]), (0, 255), "{factor}");
        }
        let point = Picture { width: 1, height: 1, grey: vec![7], pixels_per_point: 1.0 };
        assert_eq!(super::scaled(&point, 3.0).grey, [7; 9]);
    }
}
