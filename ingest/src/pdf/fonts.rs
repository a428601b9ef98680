//! A font as far as text needs it: code length, text of each code, advance widths.

use std::collections::HashMap;

use lopdf::{Dictionary, Document, Object};

use super::cmap::{self, CMap};
use super::composite::Composite;
use super::encoding::{CodeTable, simple_table};
use super::objects::{as_dictionary, dictionary, entry, follow, name, number, numbers};
use crate::clean::push_clean;

const MAX_CMAP_BYTES: usize = 16 << 20;

/// One font, ready to decode shown strings.
pub(super) struct Font {
    /// Height of an em in units of the font size; 1 but for Type 3 fonts.
    pub(super) em: f64,
    pub(super) bold: bool,
    codes: Codes,
    /// Glyph space to text space (0.001 but for Type 3 fonts).
    scale: f64,
}

enum Codes {
    Simple { table: CodeTable, widths: HashMap<u32, f64>, default_width: f64 },
    Composite(Box<Composite>),
}

/// A character code, and how many bytes it had.
#[derive(Clone, Copy)]
pub(super) struct Code {
    pub(super) value: u32,
    pub(super) length: usize,
}

impl Font {
    pub(super) fn load(document: &Document, font: &Dictionary) -> Self {
        match name(document, font, b"Subtype") {
            Some(b"Type0") => {
                let stated = to_unicode(document, font).unwrap_or_default();
                let mut composite = Composite::load(document, font, stated);
                // Not in the standard, but in use: the codes are Unicode already.
                composite.codes_are_text =
                    name(document, font, b"ToUnicode").is_some_and(|name| name.starts_with(b"Identity"));
                let codes = Codes::Composite(Box::new(composite));
                Self { em: 1.0, bold: is_bold(document, font), codes, scale: 0.001 }
            }
            subtype => Self::load_simple(document, font, subtype == Some(b"Type3")),
        }
    }

    /// The first code of a string that is not empty.
    pub(super) fn next_code(&self, bytes: &[u8]) -> Code {
        match &self.codes {
            Codes::Simple { .. } => Code { value: u32::from(bytes[0]), length: 1 },
            Codes::Composite(composite) => {
                let (value, length) = composite.next_code(bytes);
                Code { value, length }
            }
        }
    }

    /// Appends what a code stands for; false when the font does not tell.
    pub(super) fn push_text(&self, code: Code, out: &mut String) -> bool {
        let mut push = |text: &str| match text {
            // A soft hyphen that is drawn is seen, so it is a hyphen.
            "\u{ad}" => out.push('-'),
            text => push_clean(out, text),
        };
        match &self.codes {
            Codes::Composite(composite) => composite.push_text(code.value, code.length, push),
            Codes::Simple { table, .. } => {
                let text = table.get(code.value as usize).and_then(Option::as_deref);
                text.map(&mut push).is_some()
            }
        }
    }

    /// The advance of a code, in text space at size 1.
    pub(super) fn width(&self, code: Code) -> f64 {
        self.scale
            * match &self.codes {
                Codes::Simple { widths, default_width, .. } => *widths.get(&code.value).unwrap_or(default_width),
                Codes::Composite(composite) => composite.width(code.value, code.length),
            }
    }

    /// Whether it writes from top to bottom.
    pub(super) fn vertical(&self) -> bool {
        matches!(&self.codes, Codes::Composite(composite) if composite.vertical)
    }

    fn load_simple(document: &Document, font: &Dictionary, type3: bool) -> Self {
        let base_font = name(document, font, b"BaseFont").unwrap_or_default();
        let mut table = simple_table(document, font, base_font);
        if let Some(cmap) = to_unicode(document, font) {
            for (code, text) in cmap.text {
                if let Some(slot) = table.get_mut(code as usize) {
                    *slot = Some(text);
                }
            }
        }
        let mut widths = HashMap::new();
        let first = entry(document, font, b"FirstChar").map_or(0.0, number) as u32;
        if let Some(Ok(list)) = entry(document, font, b"Widths").map(Object::as_array) {
            for (code, width) in (first..).zip(list).take(256) {
                widths.insert(code, number(follow(document, width)));
            }
        }
        let mut default_width = dictionary(document, font, b"FontDescriptor")
            .and_then(|descriptor| entry(document, descriptor, b"MissingWidth"))
            .map_or(0.0, number);
        let (mut scale, mut em) = (0.001, 1.0);
        if type3 {
            let matrix: Option<[f64; 6]> = numbers(document, font, b"FontMatrix");
            let [a, _, _, d, ..] = matrix.unwrap_or([0.001, 0.0, 0.0, 0.001, 0.0, 0.0]);
            scale = a.abs();
            em = type3_em(document, font, &widths, d.abs());
        } else if widths.is_empty() {
            default_width = standard_widths(base_font, &mut widths);
        }
        Self { em, bold: is_bold(document, font), codes: Codes::Simple { table, widths, default_width }, scale }
    }
}

/// By its descriptor or, since most say nothing there, by its name.
fn is_bold(document: &Document, font: &Dictionary) -> bool {
    const FORCE_BOLD: i64 = 1 << 18;
    const BOLD_WEIGHT: f64 = 600.0;
    let descendant = || {
        let first = entry(document, font, b"DescendantFonts")?.as_array().ok()?.first()?;
        dictionary(document, as_dictionary(follow(document, first))?, b"FontDescriptor")
    };
    let stated = dictionary(document, font, b"FontDescriptor").or_else(descendant).is_some_and(|descriptor| {
        let value = |key: &[u8]| entry(document, descriptor, key).map_or(0.0, number);
        value(b"Flags") as i64 & FORCE_BOLD != 0 || value(b"FontWeight") >= BOLD_WEIGHT
    });
    let name = String::from_utf8_lossy(name(document, font, b"BaseFont").unwrap_or_default()).to_lowercase();
    // CMBX and SFBX are the bold faces of TeX.
    stated || ["bold", "black", "heavy", "cmbx", "sfbx"].iter().any(|part| name.contains(part))
}

fn to_unicode(document: &Document, font: &Dictionary) -> Option<CMap> {
    let Object::Stream(stream) = entry(document, font, b"ToUnicode")? else {
        return None;
    };
    let bytes = stream.get_plain_content_with_limit(MAX_CMAP_BYTES).ok()?;
    Some(cmap::parse(&bytes)).filter(|cmap| !cmap.text.is_empty())
}

/// A Type 3 font may draw in any unit: its box says how tall its glyphs are.
fn type3_em(document: &Document, font: &Dictionary, widths: &HashMap<u32, f64>, scale: f64) -> f64 {
    let bbox: Option<[f64; 4]> = numbers(document, font, b"FontBBox");
    let height = bbox.map_or(0.0, |[_, y0, _, y1]| (y1 - y0).abs());
    if height > 0.0 {
        return height * scale;
    }
    let (sum, count) =
        widths.values().filter(|&&width| width > 0.0).fold((0.0, 0), |(sum, count), width| (sum + width, count + 1));
    if count == 0 { 1.0 } else { 2.0 * sum / f64::from(count) * scale }
}

/// Fills the widths of a standard font that the file does not state, by the metrics of the
/// standard 14 fonts (codes 32 to 126); returns the width of every other code.
fn standard_widths(base_font: &[u8], widths: &mut HashMap<u32, f64>) -> f64 {
    let has = |part: &[u8]| base_font.windows(part.len()).any(|window| window == part);
    if has(b"Courier") {
        return 600.0;
    }
    let sans = has(b"Helv") || has(b"Arial");
    let table = match (sans, has(b"Bold")) {
        (true, false) => &HELVETICA,
        (true, true) => &HELVETICA_BOLD,
        (false, false) => &TIMES,
        (false, true) => &TIMES_BOLD,
    };
    widths.extend((32..).zip(table.iter().map(|&width| f64::from(width))));
    if sans { 556.0 } else { 500.0 }
}

#[rustfmt::skip]
const HELVETICA: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
];
#[rustfmt::skip]
const HELVETICA_BOLD: [u16; 95] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584,
];
#[rustfmt::skip]
const TIMES: [u16; 95] = [
    250, 333, 408, 500, 500, 833, 778, 180, 333, 333, 500, 564, 250, 333, 250, 278, 500, 500, 500, 500, 500, 500, 500,
    500, 500, 500, 278, 278, 564, 564, 564, 444, 921, 722, 667, 667, 722, 611, 556, 722, 722, 333, 389, 722, 611, 889,
    722, 722, 556, 722, 667, 556, 611, 722, 722, 944, 722, 722, 611, 333, 278, 333, 469, 500, 333, 444, 500, 444, 500,
    444, 333, 500, 500, 278, 278, 500, 278, 778, 500, 500, 500, 500, 333, 389, 278, 500, 500, 722, 500, 500, 444, 480,
    200, 480, 541,
];
#[rustfmt::skip]
const TIMES_BOLD: [u16; 95] = [
    250, 333, 555, 500, 500, 1000, 833, 278, 333, 333, 500, 570, 250, 333, 250, 278, 500, 500, 500, 500, 500, 500, 500,
    500, 500, 500, 333, 333, 570, 570, 570, 500, 930, 722, 667, 722, 722, 667, 611, 778, 778, 389, 500, 778, 667, 944,
    722, 778, 611, 778, 722, 556, 667, 722, 722, 1000, 722, 722, 667, 333, 278, 333, 581, 500, 333, 500, 556, 444, 556,
    444, 333, 500, 556, 278, 333, 556, 278, 833, 556, 500, 556, 556, 444, 389, 333, 556, 500, 722, 500, 500, 444, 394,
    220, 394, 520,
];
