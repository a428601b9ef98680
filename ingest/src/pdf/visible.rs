//! What of a page a reader can see: the colours behind and over its text, and the ways in which text is kept from
//! sight. Where the file leaves a doubt (a picture, a pattern, a shape of many corners), text counts as seen.

use lopdf::{Dictionary, Document, Object};

use super::content::Glyph;
use super::geometry::{Matrix, apply};
use super::lexer::Operand;
use super::objects::{dictionary, entry, follow, name, number};

/// Smaller type nobody can read, in points; on small pages it is as much smaller.
const SMALLEST: f32 = 2.0;
const USUAL_HEIGHT: f64 = 792.0;
/// Two colours that differ by less in each part cannot be told apart: white and a grey of 95 %.
const SAME_COLOUR: f32 = 0.06;
/// Less of a colour than this is nothing.
const TRANSPARENT: f32 = 0.05;
/// Shapes that are kept in mind; on a page with more, colours are not judged.
const MOST_PAINTS: usize = 10_000;
const MOST_POINTS: usize = 5;
/// A line of so many points is a bar.
const THICK: f32 = 4.0;
/// From this share on, a picture is a scan of the page, and invisible text on it is what was recognised in it.
const SCAN_SHARE: f64 = 0.5;

/// Why a reader cannot see a glyph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// Drawn without ink: a text layer on a scan, or hidden.
    NoInk,
    SameColour,
    Transparent,
    Tiny,
    Outside,
    /// Under a shape that was drawn later.
    Covered,
}

impl Hidden {
    pub(super) fn how(self) -> &'static str {
        match self {
            Self::NoInk => "drawn without ink",
            Self::SameColour => "in the colour of what is behind it",
            Self::Transparent => "transparent",
            Self::Tiny => "too small to read",
            Self::Outside => "outside of the page",
            Self::Covered => "covered by a shape",
        }
    }
}

/// Red, green and blue from 0 to 1; none for a colour that is not known.
pub(super) type Colour = Option<[f32; 3]>;

const WHITE: Colour = Some([1.0; 3]);
pub(super) const BLACK: Colour = Some([0.0; 3]);

/// A rectangle on the page as shown.
pub(super) type Area = [f32; 4];

/// How a colour's numbers are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColourSpace {
    Grey,
    Rgb,
    Cmyk,
    /// An ink of its own: none of it is white.
    Ink,
    Other,
}

impl ColourSpace {
    /// The space of that name (ISO 32000-1, 8.6.3), as the page's resources describe it.
    pub(super) fn of(document: &Document, resources: &Dictionary, space: &[u8]) -> Self {
        let described = dictionary(document, resources, b"ColorSpace").and_then(|all| entry(document, all, space));
        match described {
            Some(Object::Array(parts)) => {
                let first = parts.first().and_then(|first| follow(document, first).as_name().ok());
                match first {
                    Some(b"ICCBased") => {
                        let profile = parts.get(1).and_then(|profile| follow(document, profile).as_stream().ok());
                        let count =
                            profile.and_then(|profile| entry(document, &profile.dict, b"N")).map_or(0.0, number);
                        Self::of_count(count as usize)
                    }
                    Some(b"Separation" | b"DeviceN") => Self::Ink,
                    Some(name) => Self::named(name),
                    None => Self::Other,
                }
            }
            Some(Object::Name(name)) => Self::named(name),
            _ => Self::named(space),
        }
    }

    /// The space that an operator for a colour of it names.
    pub(super) fn of_operator(operator: &[u8]) -> Self {
        match operator {
            b"g" | b"G" => Self::Grey,
            b"rg" | b"RG" => Self::Rgb,
            _ => Self::Cmyk,
        }
    }

    fn named(name: &[u8]) -> Self {
        match name {
            b"DeviceGray" | b"CalGray" | b"G" => Self::Grey,
            b"DeviceRGB" | b"CalRGB" | b"RGB" => Self::Rgb,
            b"DeviceCMYK" | b"CMYK" => Self::Cmyk,
            _ => Self::Other,
        }
    }

    fn of_count(parts: usize) -> Self {
        match parts {
            1 => Self::Grey,
            3 => Self::Rgb,
            4 => Self::Cmyk,
            _ => Self::Other,
        }
    }

    /// The colour with which a space begins.
    pub(super) fn first(self) -> Colour {
        if matches!(self, Self::Ink | Self::Other) { None } else { BLACK }
    }

    pub(super) fn colour(self, operands: &[Operand]) -> Colour {
        let numbers: Option<Vec<f32>> = operands
            .iter()
            .map(|operand| match operand {
                Operand::Number(number) => Some(number.clamp(0.0, 1.0) as f32),
                _ => None,
            })
            .collect();
        match (self, numbers?.as_slice()) {
            (Self::Grey, &[grey]) => Some([grey; 3]),
            (Self::Rgb, &[red, green, blue]) => Some([red, green, blue]),
            (Self::Cmyk, &[cyan, magenta, yellow, black]) => {
                Some([cyan, magenta, yellow].map(|ink| (1.0 - ink) * (1.0 - black)))
            }
            (Self::Ink, inks) if !inks.is_empty() && inks.iter().all(|ink| *ink == 0.0) => WHITE,
            _ => None,
        }
    }
}

/// What bears on whether text is seen, and is saved and restored with the rest of the state.
#[derive(Clone, Debug)]
pub(super) struct Ink {
    pub(super) fill: Colour,
    pub(super) stroke: Colour,
    pub(super) fill_space: ColourSpace,
    pub(super) stroke_space: ColourSpace,
    /// How much of it is laid on, from 0 to 1.
    pub(super) fill_share: f32,
    pub(super) stroke_share: f32,
    /// Laid on as it is, not mixed with what is below.
    pub(super) is_plain: bool,
    /// The text rendering mode (ISO 32000-1, 9.3.6).
    pub(super) mode: i64,
    pub(super) line_width: f32,
    clip: Option<Area>,
}

impl Default for Ink {
    fn default() -> Self {
        Self {
            fill: BLACK,
            stroke: BLACK,
            fill_space: ColourSpace::Grey,
            stroke_space: ColourSpace::Grey,
            fill_share: 1.0,
            stroke_share: 1.0,
            is_plain: true,
            mode: 0,
            line_width: 1.0,
            clip: None,
        }
    }
}

impl Ink {
    /// Takes the parameters of a graphics state dictionary (ISO 32000-1, 8.4.5).
    pub(super) fn set(&mut self, document: &Document, parameters: &Dictionary) {
        let share = |key: &[u8]| entry(document, parameters, key).map(|share| number(share) as f32);
        self.fill_share = share(b"ca").unwrap_or(self.fill_share);
        self.stroke_share = share(b"CA").unwrap_or(self.stroke_share);
        if parameters.has(b"BM") {
            self.is_plain = matches!(name(document, parameters, b"BM"), Some(b"Normal" | b"Compatible"));
        }
        if entry(document, parameters, b"SMask").is_some_and(|mask| mask.as_name().ok() != Some(b"None")) {
            self.is_plain = false;
        }
    }

    /// Paints only within areas from now on; the box around them is kept.
    pub(super) fn clip(&mut self, areas: &[(Area, bool)]) {
        let corners: Vec<[f32; 2]> = areas.iter().flat_map(|([x0, y0, x1, y1], _)| [[*x0, *y0], [*x1, *y1]]).collect();
        if let Some(area) = around(&corners) {
            self.clip = Some(self.clip.map_or(area, |clip| common(clip, area)));
        }
    }

    /// Why what is drawn with it cannot be seen, wherever it stands.
    fn hidden(&self) -> Option<Hidden> {
        if self.mode == 3 {
            return Some(Hidden::NoInk);
        }
        let fills = matches!(self.mode, 0 | 2 | 4 | 6);
        let strokes = matches!(self.mode, 1 | 2 | 5 | 6);
        let is_seen = fills && self.fill_share >= TRANSPARENT || strokes && self.stroke_share >= TRANSPARENT;
        ((fills || strokes) && !is_seen).then_some(Hidden::Transparent)
    }

    /// The colour that letters have, if they have one alone.
    fn letters(&self) -> Colour {
        match self.mode {
            0 | 4 => self.fill,
            1 | 5 => self.stroke,
            2 | 6 if self.fill == self.stroke => self.fill,
            _ => None,
        }
    }
}

/// The path that is being drawn, as far as it is a rectangle or the box around it.
#[derive(Default)]
pub(super) struct Path {
    areas: Vec<(Area, bool)>,
    points: Vec<[f32; 2]>,
    is_bent: bool,
}

impl Path {
    pub(super) fn rectangle(&mut self, to_page: &Matrix, [x, y, width, height]: [f64; 4]) {
        let corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]];
        self.end();
        self.points = corners.map(|[x, y]| on_page(to_page, x, y)).into();
        self.end();
    }

    pub(super) fn start(&mut self, to_page: &Matrix, x: f64, y: f64) {
        self.end();
        self.points = vec![on_page(to_page, x, y)];
    }

    /// A line to a point, or the end of a curve.
    pub(super) fn line(&mut self, to_page: &Matrix, x: f64, y: f64, is_curve: bool) {
        self.is_bent |= is_curve;
        let point = on_page(to_page, x, y);
        if self.points.len() < MOST_POINTS {
            return self.points.push(point);
        }
        // Only the box around it is of interest any more.
        self.is_bent = true;
        let [x0, y0, x1, y1] = around(&self.points).unwrap_or_default();
        let [x, y] = point;
        self.points = vec![[x0.min(x), y0.min(y)], [x1.max(x), y1.max(y)]];
    }

    fn end(&mut self) {
        let points = std::mem::take(&mut self.points);
        let is_bent = std::mem::take(&mut self.is_bent);
        let Some(area) = around(&points) else { return };
        if self.areas.len() >= MOST_PAINTS {
            return;
        }
        let near = |a: f32, b: f32| (a - b).abs() < 0.01;
        let is_corner =
            |[x, y]: &[f32; 2]| (near(*x, area[0]) || near(*x, area[2])) && (near(*y, area[1]) || near(*y, area[3]));
        let is_rectangle = !is_bent && points.len() >= 4 && points.iter().all(is_corner);
        self.areas.push((area, is_rectangle));
    }

    /// The areas of the finished path, and for each whether it is filled wholly.
    pub(super) fn take(&mut self) -> Vec<(Area, bool)> {
        self.end();
        std::mem::take(&mut self.areas)
    }
}

/// A shape that was painted, in drawing order.
struct Paint {
    area: Area,
    colour: Colour,
    covers: bool,
}

/// What was painted on a page so far.
#[derive(Default)]
pub(super) struct Paints {
    all: Vec<Paint>,
    too_many: bool,
    /// Stamps and fields lie on the page in ways that are not looked into.
    pub(super) in_annotations: bool,
}

impl Paints {
    /// Fills areas in the colour of the state. Rings and holes of several areas are not looked into when `even_odd`.
    pub(super) fn fill(&mut self, areas: Vec<(Area, bool)>, ink: &Ink, even_odd: bool) {
        let is_known = ink.is_plain && ink.fill_share > 1.0 - TRANSPARENT && !self.in_annotations;
        let is_ring = even_odd && areas.len() > 1;
        for (area, is_rectangle) in areas {
            let covers = is_known && is_rectangle && !is_ring && ink.fill.is_some();
            self.push(area, ink, if covers { ink.fill } else { None }, covers);
        }
    }

    /// Draws along areas. Only a line as thick as type may be the ground of some.
    pub(super) fn stroke(&mut self, areas: &[(Area, bool)], ink: &Ink, to_page: &Matrix) {
        let [a, b, c, d, ..] = to_page;
        let half = 0.5 * ink.line_width * (a * d - b * c).abs().sqrt() as f32;
        if 2.0 * half >= THICK {
            for ([x0, y0, x1, y1], _) in areas {
                self.push([x0 - half, y0 - half, x1 + half, y1 + half], ink, None, false);
            }
        }
    }

    /// A picture or a shading: nobody knows what colours it has where.
    pub(super) fn unknown(&mut self, area: Area, ink: &Ink) {
        self.push(area, ink, None, false);
    }

    fn push(&mut self, area: Area, ink: &Ink, colour: Colour, covers: bool) {
        let area = ink.clip.map_or(area, |clip| common(clip, area));
        if area[0] >= area[2] || area[1] >= area[3] {
            return;
        }
        self.too_many |= self.all.len() >= MOST_PAINTS;
        if !self.too_many {
            self.all.push(Paint { area, colour, covers });
        }
    }

    /// How many shapes were drawn so far.
    pub(super) fn drawn(&self) -> usize {
        self.all.len()
    }

    /// Why a glyph that is drawn now cannot be seen; shapes that come later are looked at by [`Self::is_covered`].
    pub(super) fn hidden(&self, glyph: &Glyph, ink: &Ink, page_height: f64) -> Option<Hidden> {
        if let Some(hidden) = ink.hidden() {
            return Some(hidden);
        }
        let size = glyph.up[0].hypot(glyph.up[1]);
        if size < SMALLEST * (page_height / USUAL_HEIGHT).min(1.0) as f32 {
            return Some(Hidden::Tiny);
        }
        let is_near = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < SAME_COLOUR);
        let (letters, behind) = (ink.letters()?, self.behind(middle(glyph))?);
        (ink.is_plain && is_near(letters, behind)).then_some(Hidden::SameColour)
    }

    fn behind(&self, [x, y]: [f32; 2]) -> Colour {
        if self.too_many || self.in_annotations {
            return None;
        }
        self.all.iter().rev().find(|paint| contains(paint.area, [x, y])).map_or(WHITE, |paint| paint.colour)
    }

    /// Whether a shape of one colour lies over a glyph that was drawn when there were `below` of them.
    pub(super) fn is_covered(&self, glyph: &Glyph, below: usize) -> bool {
        // From the baseline to above a small letter: what of it shows beyond that is still read.
        let corners = [(glyph.origin, 0.0), (glyph.advance, 0.0), (glyph.origin, 0.55), (glyph.advance, 0.55)]
            .map(|([x, y], part)| [x + part * glyph.up[0], y + part * glyph.up[1]]);
        let later = self.all.get(below..).unwrap_or_default();
        later.iter().any(|paint| paint.covers && corners.iter().all(|corner| contains(paint.area, *corner)))
    }
}

/// Whether invisible text on a page is what was recognised in its pictures.
pub(super) fn is_scan(image_share: f64) -> bool {
    image_share >= SCAN_SHARE
}

/// The box around the unit square of a transformation.
pub(super) fn unit_square(to_page: &Matrix) -> Area {
    area(to_page, [0.0, 0.0, 1.0, 1.0])
}

/// The box around a rectangle, transformed.
pub(super) fn area(to_page: &Matrix, [x0, y0, x1, y1]: [f64; 4]) -> Area {
    let corners = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]].map(|[x, y]| on_page(to_page, x, y));
    around(&corners).unwrap_or_default()
}

fn on_page(to_page: &Matrix, x: f64, y: f64) -> [f32; 2] {
    apply(to_page, x, y).map(|value| value as f32)
}

fn around(points: &[[f32; 2]]) -> Option<Area> {
    let first = points.first()?;
    let start = [first[0], first[1], first[0], first[1]];
    Some(points.iter().fold(start, |[x0, y0, x1, y1], [x, y]| [x0.min(*x), y0.min(*y), x1.max(*x), y1.max(*y)]))
}

fn common(a: Area, b: Area) -> Area {
    [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]
}

fn contains([x0, y0, x1, y1]: Area, [x, y]: [f32; 2]) -> bool {
    (x0..=x1).contains(&x) && (y0..=y1).contains(&y)
}

/// The middle of a glyph's ink.
fn middle(glyph: &Glyph) -> [f32; 2] {
    let at = |axis: usize| f32::midpoint(glyph.origin[axis], glyph.advance[axis]) + 0.3 * glyph.up[axis];
    [at(0), at(1)]
}
