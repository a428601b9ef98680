//! Where a page's glyphs stand: matrices, and the page as it is shown and as it is stored.

use lopdf::{Document, Object, ObjectId};

use super::objects::{as_numbers, inherited, number};

/// US Letter, which readers take when a page states no size.
const DEFAULT_BOX: [f64; 4] = [0.0, 0.0, 612.0, 792.0];

/// A transformation `[a b c d e f]` (ISO 32000-1, 8.3.4).
pub(super) type Matrix = [f64; 6];

pub(super) const IDENTITY: Matrix = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];

/// `first`, then `second`.
pub(super) fn multiply(first: &Matrix, second: &Matrix) -> Matrix {
    let row = |at: usize| {
        let (x, y) = (first[at], first[at + 1]);
        [x * second[0] + y * second[2], x * second[1] + y * second[3]]
    };
    let [across, up, shift] = [row(0), row(2), row(4)];
    [across[0], across[1], up[0], up[1], shift[0] + second[4], shift[1] + second[5]]
}

/// A point, transformed.
pub(super) fn apply(matrix: &Matrix, x: f64, y: f64) -> [f64; 2] {
    [x * matrix[0] + y * matrix[2] + matrix[4], x * matrix[1] + y * matrix[3] + matrix[5]]
}

/// A page's visible box and rotation.
///
/// Layout works on the page as it is shown: upright, the origin at its lower left, y upwards.
/// Word boxes are stored unrotated, from the lower left of the visible box.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageGeometry {
    /// Lower left corner of the visible box, in the file's user space.
    origin: [f64; 2],
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) rotation: u16,
}

impl PageGeometry {
    pub(super) fn of(document: &Document, page: ObjectId) -> Self {
        let page_box = |key: &[u8]| {
            let numbers: [f64; 4] = as_numbers(document, inherited(document, page, key)?)?;
            let [x0, y0, x1, y1] = numbers;
            let normal = [x0.min(x1), y0.min(y1), x0.max(x1), y0.max(y1)];
            (normal[2] - normal[0] >= 1.0 && normal[3] - normal[1] >= 1.0).then_some(normal)
        };
        let media = page_box(b"MediaBox").unwrap_or(DEFAULT_BOX);
        let crop = page_box(b"CropBox").unwrap_or(media);
        let mut visible = [crop[0].max(media[0]), crop[1].max(media[1]), crop[2].min(media[2]), crop[3].min(media[3])];
        if visible[2] - visible[0] < 1.0 || visible[3] - visible[1] < 1.0 {
            visible = media;
        }
        let degrees = inherited(document, page, b"Rotate").map_or(0.0, number) as i64;
        Self {
            origin: [visible[0], visible[1]],
            width: visible[2] - visible[0],
            height: visible[3] - visible[1],
            rotation: (degrees.rem_euclid(360) / 90 * 90) as u16,
        }
    }

    /// A picture as a page.
    pub(super) fn of_picture([width, height]: [f32; 2]) -> Self {
        Self { origin: [0.0; 2], width: width.into(), height: height.into(), rotation: 0 }
    }

    /// From the file's user space to the page as shown.
    pub(super) fn to_shown(self) -> Matrix {
        let ([x, y], w, h) = (self.origin, self.width, self.height);
        match self.rotation {
            90 => [0.0, -1.0, 1.0, 0.0, -y, w + x],
            180 => [-1.0, 0.0, 0.0, -1.0, w + x, h + y],
            270 => [0.0, 1.0, -1.0, 0.0, h + y, -x],
            _ => [1.0, 0.0, 0.0, 1.0, -x, -y],
        }
    }

    /// Width and height of the page as shown.
    pub(super) fn shown_size(self) -> [f64; 2] {
        match self.rotation {
            90 | 270 => [self.height, self.width],
            _ => [self.width, self.height],
        }
    }

    /// A box on the page as shown, as it is stored.
    pub(super) fn to_stored(self, [x0, y0, x1, y1]: [f32; 4]) -> [f32; 4] {
        let (w, h) = (self.width as f32, self.height as f32);
        match self.rotation {
            90 => [w - y1, x0, w - y0, x1],
            180 => [w - x1, h - y1, w - x0, h - y0],
            270 => [y0, h - x1, y1, h - x0],
            _ => [x0, y0, x1, y1],
        }
    }
}

/// A `Matrix` entry's value, or the identity.
pub(super) fn matrix_of(document: &Document, object: Option<&Object>) -> Matrix {
    object.and_then(|object| as_numbers(document, object)).unwrap_or(IDENTITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rotation: u16) {
        let page = PageGeometry { origin: [10.0, 20.0], width: 600.0, height: 800.0, rotation };
        let [x0, y0] = apply(&page.to_shown(), 110.0, 220.0);
        let [x1, y1] = apply(&page.to_shown(), 160.0, 230.0);
        let shown = [x0.min(x1), y0.min(y1), x0.max(x1), y0.max(y1)];
        let stored = page.to_stored(shown.map(|value| value as f32));
        for (found, expected) in stored.into_iter().zip([100.0, 200.0, 150.0, 210.0]) {
            assert!((found - expected).abs() < 1e-3, "rotated by {rotation}: {stored:?}");
        }
    }

    #[test]
    fn a_box_comes_back_from_every_rotation() {
        for rotation in [0, 90, 180, 270] {
            check(rotation);
        }
    }
}
