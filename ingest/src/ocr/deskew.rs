//! Straightens a picture whose lines run askew. The angle is the one at which the rows of the
//! picture differ most: along straight lines of text, rows are dark and light in turn.

use super::Picture;

/// What is askew by more was laid down on purpose.
const MAX_DEGREES: f32 = 7.0;
/// Below this, turning costs more sharpness than it gains.
const MIN_DEGREES: f32 = 0.35;
const COARSE_STEP: f32 = 0.5;
const FINE_STEP: f32 = 0.1;
/// Rows and columns are halved until the picture is at most so wide.
const MAX_WIDTH: usize = 900;

/// By how many degrees the lines fall from left to right; 0 when they are straight enough.
pub(super) fn angle(picture: &Picture) -> f32 {
    let dots = dark_dots(picture);
    if dots.len() < 500 {
        return 0.0;
    }
    let best = |from: f32, to: f32, step: f32| {
        let steps = ((to - from) / step).round() as i32;
        (0..=steps)
            .map(|at| from + at as f32 * step)
            .max_by(|a, b| contrast(&dots, *a).total_cmp(&contrast(&dots, *b)))
            .unwrap_or(0.0)
    };
    let coarse = best(-MAX_DEGREES, MAX_DEGREES, COARSE_STEP);
    let fine = best(coarse - COARSE_STEP, coarse + COARSE_STEP, FINE_STEP);
    // A page without lines has no angle that is clearly better than none.
    let clear = contrast(&dots, fine) > 1.05 * contrast(&dots, 0.0);
    if fine.abs() >= MIN_DEGREES && clear { fine } else { 0.0 }
}

/// The places of dark pixels in a picture made smaller.
fn dark_dots(picture: &Picture) -> Vec<(f32, f32)> {
    let step = picture.width.div_ceil(MAX_WIDTH).max(1);
    let mean = picture.grey.iter().step_by(step).map(|&grey| f64::from(grey)).sum::<f64>()
        / (picture.grey.len() / step).max(1) as f64;
    // Paper is most of a page: ink is well below the mean.
    let ink = (mean * 0.6) as u8;
    let mut dots = Vec::new();
    for y in (0..picture.height).step_by(step) {
        let row = &picture.grey[y * picture.width..(y + 1) * picture.width];
        let dark = row.iter().enumerate().step_by(step).filter(|(_, grey)| **grey < ink);
        dots.extend(dark.map(|(x, _)| ((x / step) as f32, (y / step) as f32)));
    }
    dots
}

/// How much the rows differ when the lines are taken to fall at this angle.
fn contrast(dots: &[(f32, f32)], degrees: f32) -> f64 {
    let slope = degrees.to_radians().tan();
    let row = |(x, y): (f32, f32)| (y - x * slope) as i32;
    let (first, last) =
        dots.iter().fold((i32::MAX, i32::MIN), |(first, last), &dot| (first.min(row(dot)), last.max(row(dot))));
    let mut rows = vec![0_u32; (last - first + 1).max(1) as usize];
    for &dot in dots {
        rows[(row(dot) - first) as usize] += 1;
    }
    rows.windows(2).map(|pair| (f64::from(pair[0]) - f64::from(pair[1])).powi(2)).sum()
}

/// The picture, turned clockwise about its middle; what comes in at the corners is white.
pub(super) fn turned(picture: &Picture, degrees: f32) -> Picture {
    let (width, height) = (picture.width, picture.height);
    let middle = [0.5 * width as f32, 0.5 * height as f32];
    let mut grey = vec![255; width * height];
    for y in 0..height {
        for x in 0..width {
            let [from_x, from_y] = about([x as f32, y as f32], middle, -degrees);
            grey[y * width + x] = sample(picture, from_x, from_y);
        }
    }
    Picture { width, height, grey, pixels_per_point: picture.pixels_per_point }
}

/// The box, turned clockwise about a point and upright again.
pub(super) fn turned_box(bbox: [f32; 4], middle: [f32; 2], degrees: f32) -> [f32; 4] {
    let [x, y] = about([0.5 * (bbox[0] + bbox[2]), 0.5 * (bbox[1] + bbox[3])], middle, degrees);
    let (half_width, half_height) = (0.5 * (bbox[2] - bbox[0]), 0.5 * (bbox[3] - bbox[1]));
    [x - half_width, y - half_height, x + half_width, y + half_height]
}

/// A point, turned clockwise about another (y runs downwards).
fn about([x, y]: [f32; 2], middle: [f32; 2], degrees: f32) -> [f32; 2] {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (dx, dy) = (x - middle[0], y - middle[1]);
    [middle[0] + dx * cos - dy * sin, middle[1] + dx * sin + dy * cos]
}

/// The grey between four pixels.
fn sample(picture: &Picture, x: f32, y: f32) -> u8 {
    let (left, top) = (x.floor(), y.floor());
    if left < 0.0 || top < 0.0 || left as usize + 1 >= picture.width || top as usize + 1 >= picture.height {
        return 255;
    }
    let (part_x, part_y) = (x - left, y - top);
    let at = top as usize * picture.width + left as usize;
    let pixel = |offset: usize| f32::from(picture.grey[at + offset]);
    let upper = pixel(0) * (1.0 - part_x) + pixel(1) * part_x;
    let lower = pixel(picture.width) * (1.0 - part_x) + pixel(picture.width + 1) * part_x;
    (upper * (1.0 - part_y) + lower * part_y) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of text as bars, falling at an angle.
    fn bars(degrees: f32) -> Picture {
        let (width, height) = (800, 1000);
        let slope = degrees.to_radians().tan();
        let is_ink = |x: usize, y: usize| {
            let along = y as f32 - x as f32 * slope;
            (80..720).contains(&x) && (100.0..900.0).contains(&along) && along.rem_euclid(30.0) < 12.0 && x % 9 < 6
        };
        let grey = (0..width * height).map(|at| if is_ink(at % width, at / width) { 0 } else { 255 }).collect();
        Picture { width, height, grey, pixels_per_point: 2.0 }
    }

    #[test]
    fn the_angle_of_the_lines_is_found_and_undone() {
        for degrees in [-4.0, -1.5, 1.0, 3.0] {
            let askew = bars(degrees);
            assert!((angle(&askew) - degrees).abs() < 0.25, "{degrees}: {}", angle(&askew));
            assert!(angle(&turned(&askew, -angle(&askew))) == 0.0, "{degrees}");
        }
        assert!(angle(&bars(0.0)).abs() < f32::EPSILON);
    }

    #[test]
    fn a_box_is_turned_back_to_where_it_was_seen() {
        let middle = [400.0, 500.0];
        let bbox = [100.0, 200.0, 140.0, 212.0];
        let back = turned_box(turned_box(bbox, middle, 3.0), middle, -3.0);
        for (found, expected) in back.into_iter().zip(bbox) {
            assert!((found - expected).abs() < 0.01);
        }
    }
}
