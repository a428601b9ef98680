//! Text recognition: pictures of pages in, words with their places out. Pictures are levelled and straightened here;
//! who reads them stands behind [`Recognise`], for where files are read no program can be started.

mod deskew;
mod kept;
mod level;
mod tesseract;
mod tsv;

pub use self::kept::{drop_kept, trim_kept};
pub use self::tesseract::{Tesseract, TesseractMissing};

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use crate::picture;

/// Recognition does not get better beyond this (measured: 300 dpi is no better than 200).
pub(crate) const DPI: f32 = 200.0;
/// What is less than this away from it is read as it is.
const NEAR_DPI: f32 = 0.25;
/// A thumbnail of a page does not become a page by being made larger.
const MOST_SCALE: f32 = 4.0;

/// A grey picture of a page, row by row from the top; 0 is black.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` values.
    pub grey: Vec<u8>,
    /// How many pixels a point (1/72 inch) is wide.
    pub pixels_per_point: f32,
}

/// A word that was recognised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenWord {
    /// Its letters.
    pub text: String,
    /// `x0, y0, x1, y1` in pixels of the picture, from its upper left, y downwards.
    pub bbox: [f32; 4],
    /// How sure the reader is, from 0 to 1.
    pub confidence: f32,
    /// The line that it stands in, counted from 0 over the page.
    pub line: u32,
}

/// The words of a picture, or in a few words why they cannot be had.
pub type Recognised = Result<Vec<SeenWord>, String>;

/// Who reads pictures.
pub trait Recognise {
    /// Takes pictures one after another, each when there is room for it, and gives the words of each in that order.
    fn recognise(&self, pictures: &mut dyn Iterator<Item = Picture>) -> Vec<Recognised>;
}

/// What was seen on a page.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    /// Boxes are in points, from the page's upper left, y downwards.
    pub(crate) words: Vec<SeenWord>,
    /// Width and height of the page in points.
    pub(crate) size_pt: [f32; 2],
}

/// Reads pictures as they are made; each comes out in its place, or with the reason why it does not.
pub(crate) fn see(
    recogniser: &dyn Recognise,
    pictures: impl Iterator<Item = Result<Picture, String>>,
) -> Vec<Result<Seen, String>> {
    // What each picture was before it was made ready, or why there is none.
    let made = RefCell::new(Vec::new());
    let mut ready = pictures.filter_map(|picture| match picture {
        Ok(picture) => {
            let (ready, change) = make_ready(picture);
            made.borrow_mut().push(Ok(change));
            Some(ready)
        }
        Err(reason) => {
            made.borrow_mut().push(Err(reason));
            None
        }
    });
    let mut read = recogniser.recognise(&mut ready).into_iter();
    // A reader that stops early leaves pages behind, which are to be told of too.
    ready.for_each(drop);
    let made = made.into_inner().into_iter();
    let seen = made.map(|change| {
        let change = change?;
        let words = read.next().unwrap_or_else(|| Err("it was not read".to_owned()))?;
        Ok(Seen { words: words.into_iter().map(|word| change.undo(word)).collect(), size_pt: change.size_pt() })
    });
    seen.collect()
}

/// What was done to a picture, so that boxes find back.
struct Change {
    width: usize,
    height: usize,
    pixels_per_point: f32,
    /// By how much the picture that was read is larger.
    scale: f32,
    skew_degrees: f32,
}

impl Change {
    fn undo(&self, word: SeenWord) -> SeenWord {
        let middle = [self.width, self.height].map(|side| 0.5 * side as f32 * self.scale);
        let bbox = deskew::turned_box(word.bbox, middle, self.skew_degrees);
        SeenWord { bbox: bbox.map(|value| value / (self.scale * self.pixels_per_point)), ..word }
    }

    fn size_pt(&self) -> [f32; 2] {
        [self.width as f32 / self.pixels_per_point, self.height as f32 / self.pixels_per_point]
    }
}

/// The picture as it reads best, and what was done to it.
fn make_ready(drawn: Picture) -> (Picture, Change) {
    let (width, height, pixels_per_point) = (drawn.width, drawn.height, drawn.pixels_per_point);
    let wanted = (DPI / 72.0 / pixels_per_point).min(MOST_SCALE);
    let is_near = (wanted - 1.0).abs() <= NEAR_DPI;
    let scale = if is_near { 1.0 } else { wanted };
    let sized = if is_near { drawn } else { picture::scaled(drawn, scale) };
    let mut ready = level::levelled(sized);
    let skew_degrees = deskew::angle(&ready);
    if skew_degrees != 0.0 {
        ready = deskew::turned(&ready, -skew_degrees);
    }
    (ready, Change { width, height, pixels_per_point, scale, skew_degrees })
}
