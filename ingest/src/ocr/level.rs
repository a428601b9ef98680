//! Levels a picture before it is read: paper becomes white wherever a shadow lies on it, noise and specks go, and the
//! broken strokes of a fax are joined. What is clean already stays as it is.

use super::Picture;

/// The paper's brightness is taken for squares of so many pixels: larger than a letter, smaller than a shadow.
const SQUARE: usize = 40;
/// In a square, paper is brighter than this share of the pixels.
const PAPER_SHARE: f32 = 0.8;
/// Paper that is brighter everywhere is white enough.
const WHITE: f32 = 240.0;
/// Below this share of the page's brightness, a square is a picture or a dark heading and not paper.
const DARKEST_PAPER: f32 = 0.4;
/// What differs less from its neighbours is the camera's or JPEG's.
const MIN_NOISE: f32 = 4.0;
/// What is darker is not paper, at the edge of a speck neither.
const INK: u8 = 200;
/// A dot of so few pixels is dirt when it stands alone: at 200 dpi a full stop in 8 point type has 9.
const SPECK_PIXELS: usize = 6;
/// What is nearer than this many pixels belongs together, as the pieces of a broken stroke do.
const REACH: usize = 5;
/// A page with more specks among so many pixels came through a fax.
const PIXELS_PER_SPECK: usize = 10_000;

/// The picture as it reads best.
pub(super) fn levelled(mut picture: Picture) -> Picture {
    if picture.width < 3 * SQUARE || picture.height < 3 * SQUARE {
        return picture;
    }
    flatten(&mut picture);
    let noisy = noise(&picture) > MIN_NOISE;
    if noisy {
        median(&mut picture);
    }
    let specks = drop_specks(&mut picture);
    if noisy {
        soften(&mut picture);
    } else if specks > picture.grey.len() / PIXELS_PER_SPECK {
        // Broken strokes need more of it.
        soften(&mut picture);
        soften(&mut picture);
    }
    picture
}

/// Divides by the brightness of the paper.
fn flatten(picture: &mut Picture) {
    let (columns, rows) = (picture.width.div_ceil(SQUARE), picture.height.div_ceil(SQUARE));
    let mut paper: Vec<f32> = Vec::with_capacity(columns * rows);
    for row in 0..rows {
        for column in 0..columns {
            paper.push(brightness(picture, column * SQUARE, row * SQUARE));
        }
    }
    let mut sorted = paper.clone();
    sorted.sort_by(f32::total_cmp);
    let whole = sorted[sorted.len() / 2];
    if sorted[sorted.len() / 20] >= WHITE || whole < 32.0 {
        return;
    }
    // A square that is no paper has the brightness of those around it.
    let known: Vec<Option<f32>> =
        paper.iter().map(|&value| (value >= DARKEST_PAPER * whole).then_some(value)).collect();
    let paper = smooth(&known, columns, rows, whole);
    for y in 0..picture.height {
        let (row, part_y) = between(y, rows);
        for x in 0..picture.width {
            let (column, part_x) = between(x, columns);
            let at = |row: usize, column: usize| paper[row.min(rows - 1) * columns + column.min(columns - 1)];
            let upper = at(row, column) * (1.0 - part_x) + at(row, column + 1) * part_x;
            let lower = at(row + 1, column) * (1.0 - part_x) + at(row + 1, column + 1) * part_x;
            let here = upper * (1.0 - part_y) + lower * part_y;
            let grey = &mut picture.grey[y * picture.width + x];
            *grey = (f32::from(*grey) * 250.0 / here).min(255.0) as u8;
        }
    }
}

/// The brightness of the paper in a square.
fn brightness(picture: &Picture, left: usize, top: usize) -> f32 {
    let mut counts = [0_u32; 256];
    let (right, bottom) = ((left + SQUARE).min(picture.width), (top + SQUARE).min(picture.height));
    for y in top..bottom {
        for &grey in &picture.grey[y * picture.width + left..y * picture.width + right] {
            counts[usize::from(grey)] += 1;
        }
    }
    let wanted = (PAPER_SHARE * ((right - left) * (bottom - top)) as f32) as u32;
    let mut below = 0;
    let level = counts.iter().position(|count| {
        below += count;
        below > wanted
    });
    level.unwrap_or(255) as f32
}

/// Each square's mean with those around it that are known; `otherwise` where none is.
fn smooth(known: &[Option<f32>], columns: usize, rows: usize, otherwise: f32) -> Vec<f32> {
    let mean = |row: usize, column: usize, reach: usize| {
        let around = (row.saturating_sub(reach)..(row + reach + 1).min(rows)).flat_map(|row| {
            (column.saturating_sub(reach)..(column + reach + 1).min(columns))
                .filter_map(move |column| known[row * columns + column])
        });
        let (sum, count) = around.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| sum / count as f32)
    };
    let value = |at: usize| {
        let (row, column) = (at / columns, at % columns);
        mean(row, column, 1).or_else(|| mean(row, column, 4)).unwrap_or(otherwise)
    };
    (0..rows * columns).map(value).collect()
}

/// The square whose middle lies before a pixel, and how far the pixel is on the way to the next one's.
fn between(pixel: usize, squares: usize) -> (usize, f32) {
    let place = ((pixel as f32 + 0.5) / SQUARE as f32 - 0.5).clamp(0.0, (squares - 1) as f32);
    (place as usize, place.fract())
}

/// How much paper differs from pixel to pixel: the median, which letters do not move.
fn noise(picture: &Picture) -> f32 {
    let mut counts = [0_u32; 256];
    for row in picture.grey.chunks_exact(picture.width) {
        for pair in row.windows(2).step_by(3) {
            counts[usize::from(pair[0].abs_diff(pair[1]))] += 1;
        }
    }
    let half = counts.iter().sum::<u32>() / 2;
    let mut below = 0;
    let median = counts.iter().position(|count| {
        below += count;
        below > half
    });
    median.unwrap_or(0) as f32
}

/// Each pixel becomes the middle one of the nine around it.
fn median(picture: &mut Picture) {
    let (width, height) = (picture.width, picture.height);
    let from = picture.grey.clone();
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let at = y * width + x;
            let mut nine = [
                from[at - width - 1],
                from[at - width],
                from[at - width + 1],
                from[at - 1],
                from[at],
                from[at + 1],
                from[at + width - 1],
                from[at + width],
                from[at + width + 1],
            ];
            nine.sort_unstable();
            picture.grey[at] = nine[4];
        }
    }
}

/// Whitens dots of a few pixels that stand alone, and counts them.
fn drop_specks(picture: &mut Picture) -> usize {
    let (width, height) = (picture.width, picture.height);
    let mut seen = vec![false; picture.grey.len()];
    let mut group = Vec::new();
    let mut specks = 0;
    for start in 0..picture.grey.len() {
        if picture.grey[start] >= INK || seen[start] {
            continue;
        }
        group.clear();
        group.push(start);
        seen[start] = true;
        let mut next = 0;
        while next < group.len() {
            let (x, y) = (group[next] % width, group[next] / width);
            next += 1;
            for near_y in y.saturating_sub(REACH)..(y + REACH + 1).min(height) {
                for near_x in x.saturating_sub(REACH)..(x + REACH + 1).min(width) {
                    let near = near_y * width + near_x;
                    if picture.grey[near] < INK && !seen[near] {
                        seen[near] = true;
                        group.push(near);
                    }
                }
            }
        }
        if group.len() <= SPECK_PIXELS {
            specks += 1;
            for &at in &group {
                picture.grey[at] = 255;
            }
        }
    }
    specks
}

/// Blurs a little: 1 2 1 along both sides.
fn soften(picture: &mut Picture) {
    let (width, height) = (picture.width, picture.height);
    let from = picture.grey.clone();
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let at = y * width + x;
            let row = |at: usize| u32::from(from[at - 1]) + 2 * u32::from(from[at]) + u32::from(from[at + 1]);
            picture.grey[at] = ((row(at - width) + 2 * row(at) + row(at + width) + 8) / 16) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bars of ink on paper that is brighter on the left.
    fn page(left: f32, right: f32) -> Picture {
        let (width, height) = (600, 400);
        let shade = |at: usize| {
            let (x, y) = (at % width, at / width);
            let paper = left + (right - left) * x as f32 / width as f32;
            let is_ink = y % 40 < 6 && (60..540).contains(&x) && x % 12 < 7;
            if is_ink { paper * 0.2 } else { paper }
        };
        let grey = (0..width * height).map(|at| shade(at) as u8).collect();
        Picture { width, height, grey, pixels_per_point: 2.78 }
    }

    #[test]
    fn a_clean_page_stays_as_it_is() {
        let clean = page(255.0, 255.0);
        assert_eq!(levelled(clean.clone()).grey, clean.grey);
    }

    #[test]
    fn paper_in_the_shadow_becomes_white_and_ink_stays_dark() {
        let levelled = levelled(page(250.0, 120.0));
        for x in [20, 300, 580] {
            assert!(levelled.grey[30 * levelled.width + x] > 235, "paper at {x}");
        }
        for x in [62, 302, 530] {
            assert!(levelled.grey[43 * levelled.width + x] < 90, "ink at {x}");
        }
    }

    #[test]
    fn specks_go_and_pieces_of_a_stroke_stay() {
        let mut picture = page(255.0, 255.0);
        let width = picture.width;
        let (speck, stroke) = (25 * width + 20, 25 * width + 300);
        picture.grey[speck] = 0;
        for piece in 0..8 {
            picture.grey[stroke + 3 * piece] = 0;
        }
        let levelled = levelled(picture);
        assert_eq!((levelled.grey[speck], levelled.grey[stroke], levelled.grey[stroke + 21]), (255, 0, 0));
    }

    #[test]
    fn noise_is_smoothed_away() {
        let mut picture = page(200.0, 200.0);
        // A fixed sequence that looks like chance (Knuth's multiplier).
        for (at, grey) in picture.grey.iter_mut().enumerate() {
            let chance = (at as u32).wrapping_mul(2_654_435_761) >> 24;
            *grey = grey.saturating_add((chance % 41) as u8).saturating_sub(20);
        }
        let before = noise(&picture);
        let after = noise(&levelled(picture));
        assert!(before > MIN_NOISE && after < 0.6 * before, "{before} {after}");
    }
}
