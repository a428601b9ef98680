//! Runs a page's drawing instructions as far as they place text (ISO 32000-1, 9.4) and yields
//! glyphs with their positions on the page as shown.

use std::collections::HashMap;
use std::rc::Rc;

use lopdf::{Dictionary, Document, Object, ObjectId};

use super::fields::{self, FieldValue};
use super::fonts::{Code, Font};
use super::geometry::{IDENTITY, Matrix, PageGeometry, apply, matrix_of, multiply};
use super::lexer::{Lexer, Operand};
use super::objects::{dictionary, entry, follow, inherited, name, number, numbers};
use super::visible::{self, ColourSpace, Hidden, Ink, Paints, Path};
use crate::Limits;
use crate::caution::Unseen;

const MAX_FORM_DEPTH: usize = 12;
const MAX_SAVED_STATES: usize = 512;
/// More characters than any page holds legibly; what a crafted page has beyond is left out.
const MAX_GLYPHS: usize = 400_000;

/// A page's glyphs in drawing order, and what else bears on its text.
#[derive(Default)]
pub(super) struct PageGlyphs {
    /// The text of all glyphs; each [`Glyph`] is a range of it.
    pub(super) text: String,
    pub(super) glyphs: Vec<Glyph>,
    /// The first glyph of form fields and other annotations, which are drawn after the page.
    pub(super) fields_start: usize,
    /// Codes that no table of the file turns into text.
    pub(super) unreadable: usize,
    /// The part of the page that pictures cover, so that a scanned page is told from a blank one.
    pub(super) image_share: f64,
    /// Shapes filled or stroked: letters may be drawn as such.
    pub(super) shapes: usize,
    /// Set when a limit cut the page short.
    pub(super) cut_short: bool,
    /// Text that a reader cannot see; none of the glyphs.
    pub(super) unseen: Unseen,
}

/// A shown character (or ligature), on the page as shown, in points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyph {
    pub(super) start: u32,
    pub(super) end: u32,
    /// Start of its baseline.
    pub(super) origin: [f32; 2],
    /// End of its baseline: where the next glyph would start.
    pub(super) advance: [f32; 2],
    /// From the baseline to the top of its em.
    pub(super) up: [f32; 2],
    pub(super) bold: bool,
}

/// Fonts are shared by a document's pages, so they are loaded once.
pub(super) type FontCache = HashMap<ObjectId, Rc<Font>>;

/// The glyphs of a page, its forms and its filled-in fields.
pub(super) fn page_glyphs(
    document: &Document,
    page: ObjectId,
    geometry: PageGeometry,
    fonts: &mut FontCache,
    limits: &Limits,
) -> Result<PageGlyphs, lopdf::Error> {
    let content = document.get_page_content_with_limit(page, limits.max_page_bytes)?;
    let no_resources = Dictionary::new();
    let resources =
        inherited(document, page, b"Resources").and_then(|object| object.as_dict().ok()).unwrap_or(&no_resources);
    let mut interpreter = Interpreter {
        document,
        fonts,
        shown_size: geometry.shown_size(),
        max_form_bytes: limits.max_page_bytes,
        operations_left: limits.max_page_operations,
        form_bytes_left: limits.max_page_bytes.saturating_mul(4),
        paints: Paints::default(),
        doubts: Vec::new(),
        out: PageGlyphs::default(),
    };
    let state = State::new(geometry.to_shown());
    interpreter.run(&content, resources, state.clone(), 0);
    interpreter.out.fields_start = interpreter.out.glyphs.len();
    interpreter.paints.in_annotations = true;
    interpreter.draw_annotations(page, resources, &state);
    interpreter.leave_out_unseen();
    Ok(interpreter.out)
}

#[derive(Clone)]
struct State {
    to_page: Matrix,
    font: Option<Rc<Font>>,
    size: f64,
    character_spacing: f64,
    word_spacing: f64,
    stretch: f64,
    leading: f64,
    rise: f64,
    ink: Ink,
}

impl State {
    fn new(to_page: Matrix) -> Self {
        Self {
            to_page,
            font: None,
            size: 1.0,
            character_spacing: 0.0,
            word_spacing: 0.0,
            stretch: 1.0,
            leading: 0.0,
            rise: 0.0,
            ink: Ink::default(),
        }
    }
}

struct Interpreter<'a, 'c> {
    document: &'a Document,
    fonts: &'c mut FontCache,
    shown_size: [f64; 2],
    max_form_bytes: usize,
    operations_left: usize,
    form_bytes_left: usize,
    paints: Paints,
    /// For each glyph why it may not be seen, and how many shapes were drawn before it.
    doubts: Vec<(Option<Hidden>, u32)>,
    out: PageGlyphs,
}

impl<'a> Interpreter<'a, '_> {
    fn run(&mut self, content: &[u8], resources: &'a Dictionary, mut state: State, depth: usize) {
        let mut saved: Vec<State> = Vec::new();
        let (mut text, mut line) = (IDENTITY, IDENTITY);
        let (mut path, mut clips) = (Path::default(), false);
        let mut lexer = Lexer::new(content);
        while let Some(operator) = lexer.next_operator() {
            let operands = &lexer.operands;
            if self.operations_left == 0 || self.out.glyphs.len() >= MAX_GLYPHS {
                self.out.cut_short = true;
                return;
            }
            self.operations_left -= 1;
            let n = |at: usize| operands.get(at).map_or(0.0, Operand::number);
            let matrix = || [n(0), n(1), n(2), n(3), n(4), n(5)];
            let moved = |line: &Matrix, x, y| multiply(&[1.0, 0.0, 0.0, 1.0, x, y], line);
            match operator {
                b"q" if saved.len() < MAX_SAVED_STATES => saved.push(state.clone()),
                b"Q" => state = saved.pop().unwrap_or(state),
                b"cm" => state.to_page = multiply(&matrix(), &state.to_page),
                b"BT" => (text, line) = (IDENTITY, IDENTITY),
                b"Tf" => {
                    if let Some(font) = operands.first().and_then(Operand::name) {
                        state.font = self.font(resources, font);
                    }
                    state.size = n(1);
                }
                b"Tc" => state.character_spacing = n(0),
                b"Tw" => state.word_spacing = n(0),
                b"Tz" => state.stretch = n(0) / 100.0,
                b"TL" => state.leading = n(0),
                b"Ts" => state.rise = n(0),
                b"Td" | b"TD" => {
                    if operator == b"TD" {
                        state.leading = -n(1);
                    }
                    line = moved(&line, n(0), n(1));
                    text = line;
                }
                b"Tm" => (text, line) = (matrix(), matrix()),
                b"T*" | b"'" | b"\"" => {
                    line = moved(&line, 0.0, -state.leading);
                    text = line;
                    if operator == b"\"" {
                        (state.word_spacing, state.character_spacing) = (n(0), n(1));
                    }
                    self.show(&state, &mut text, operands.last());
                }
                b"Tj" => self.show(&state, &mut text, operands.first()),
                b"TJ" => {
                    let Some(Operand::Array(pieces)) = operands.first() else {
                        continue;
                    };
                    for piece in pieces {
                        if matches!(piece, Operand::String(_)) {
                            self.show(&state, &mut text, Some(piece));
                        } else {
                            let shift = -piece.number() / 1000.0 * state.size * state.stretch;
                            text = moved(&text, shift, 0.0);
                        }
                    }
                }
                b"Do" => {
                    if let Some(name) = operands.first().and_then(Operand::name) {
                        self.draw_object(name, resources, &state, depth);
                    }
                }
                b"BI" => self.count_image(&state),
                b"re" => path.rectangle(&state.to_page, [n(0), n(1), n(2), n(3)]),
                b"m" => path.start(&state.to_page, n(0), n(1)),
                b"l" => path.line(&state.to_page, n(0), n(1), false),
                b"c" => path.line(&state.to_page, n(4), n(5), true),
                b"v" | b"y" => path.line(&state.to_page, n(2), n(3), true),
                b"W" | b"W*" => clips = true,
                b"f" | b"F" | b"f*" | b"B" | b"B*" | b"b" | b"b*" | b"S" | b"s" | b"n" => {
                    self.out.shapes += usize::from(operator != b"n");
                    let areas = path.take();
                    if std::mem::take(&mut clips) {
                        state.ink.clip(&areas);
                    }
                    if matches!(operator, b"S" | b"s") {
                        self.paints.stroke(&areas, &state.ink, &state.to_page);
                    } else if operator != b"n" {
                        self.paints.fill(areas, &state.ink, operator.ends_with(b"*"));
                    }
                }
                b"sh" => self.paints.unknown([f32::MIN, f32::MIN, f32::MAX, f32::MAX], &state.ink),
                _ => self.set_ink(operator, operands, resources, &mut state.ink),
            }
        }
    }

    /// The instructions that set colours and how they are laid on.
    fn set_ink(&self, operator: &[u8], operands: &[Operand], resources: &Dictionary, ink: &mut Ink) {
        let space = || {
            let name = operands.first().and_then(Operand::name).unwrap_or_default();
            ColourSpace::of(self.document, resources, name)
        };
        match operator {
            b"g" | b"rg" | b"k" => {
                ink.fill_space = ColourSpace::of_operator(operator);
                ink.fill = ink.fill_space.colour(operands);
            }
            b"G" | b"RG" | b"K" => {
                ink.stroke_space = ColourSpace::of_operator(operator);
                ink.stroke = ink.stroke_space.colour(operands);
            }
            b"cs" => {
                ink.fill_space = space();
                ink.fill = ink.fill_space.first();
            }
            b"CS" => {
                ink.stroke_space = space();
                ink.stroke = ink.stroke_space.first();
            }
            b"sc" | b"scn" => ink.fill = ink.fill_space.colour(operands),
            b"SC" | b"SCN" => ink.stroke = ink.stroke_space.colour(operands),
            b"w" => ink.line_width = operands.first().map_or(1.0, Operand::number) as f32,
            b"Tr" => ink.mode = operands.first().map_or(0.0, Operand::number) as i64,
            b"gs" => {
                let name = operands.first().and_then(Operand::name).unwrap_or_default();
                let all = dictionary(self.document, resources, b"ExtGState");
                if let Some(parameters) = all.and_then(|all| dictionary(self.document, all, name)) {
                    ink.set(self.document, parameters);
                }
            }
            _ => {}
        }
    }

    /// Takes the glyphs out that nobody sees. Until the page is drawn it is not known whether invisible ones are the
    /// text of a scan, nor what lies over the others.
    fn leave_out_unseen(&mut self) {
        let is_scan = visible::is_scan(self.out.image_share);
        let page = std::mem::take(&mut self.out);
        let mut kept = PageGlyphs { text: String::with_capacity(page.text.len()), glyphs: Vec::new(), ..page };
        kept.fields_start = 0;
        let mut unseen_end = [f32::NAN; 2];
        for (at, (glyph, (doubt, below))) in page.glyphs.iter().zip(&self.doubts).enumerate() {
            if at == page.fields_start {
                kept.fields_start = kept.glyphs.len();
            }
            let text = &page.text[glyph.start as usize..glyph.end as usize];
            let hidden = match doubt {
                Some(Hidden::NoInk) if is_scan => None,
                None if self.paints.is_covered(glyph, *below as usize) => Some(Hidden::Covered),
                doubt => *doubt,
            };
            if let Some(hidden) = hidden {
                let [x, y] = [0, 1].map(|axis| glyph.origin[axis] - unseen_end[axis]);
                let gap = if x.hypot(y) < 0.2 * glyph.up[0].hypot(glyph.up[1]) { "" } else { " " };
                kept.unseen.push(hidden.how(), gap);
                kept.unseen.push(hidden.how(), text);
                unseen_end = glyph.advance;
            } else {
                let start = kept.text.len() as u32;
                kept.text.push_str(text);
                kept.glyphs.push(Glyph { start, end: kept.text.len() as u32, ..*glyph });
            }
        }
        if page.fields_start >= page.glyphs.len() {
            kept.fields_start = kept.glyphs.len();
        }
        self.out = kept;
    }

    fn show(&mut self, state: &State, text: &mut Matrix, string: Option<&Operand>) {
        let (Some(Operand::String(bytes)), Some(font)) = (string, &state.font) else {
            return;
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let code = font.next_code(rest);
            let is_space = rest[..code.length] == [b' '];
            rest = &rest[code.length..];
            let word_spacing = if is_space { state.word_spacing } else { 0.0 };
            let spacing = state.character_spacing + word_spacing;
            let width = font.width(code) * state.size;
            if font.vertical() {
                self.place_vertical(font, code, state, text);
                *text = multiply(&[1.0, 0.0, 0.0, 1.0, 0.0, spacing - state.size], text);
                continue;
            }
            self.place(font, code, [width * state.stretch, 0.0], state, text);
            *text = multiply(&[1.0, 0.0, 0.0, 1.0, (width + spacing) * state.stretch, 0.0], text);
        }
    }

    /// A glyph of vertical writing hangs from the middle of its top (ISO 32000-1, 9.7.4.3).
    fn place_vertical(&mut self, font: &Font, code: Code, state: &State, text: &Matrix) {
        let hung = multiply(&[1.0, 0.0, 0.0, 1.0, 0.0, -0.12 * state.size], text);
        self.place(font, code, [0.0, -state.size], state, &hung);
    }

    fn place(&mut self, font: &Font, code: Code, [run, fall]: [f64; 2], state: &State, text: &Matrix) {
        let matrix = multiply(text, &state.to_page);
        let origin = apply(&matrix, 0.0, state.rise);
        let advance = apply(&matrix, run, state.rise + fall);
        let top = apply(&matrix, 0.0, state.rise + state.size * font.em);
        let on_page = |[x, y]: [f64; 2]| {
            let [page_width, page_height] = self.shown_size;
            (-1.0..=page_width + 1.0).contains(&x) && (-1.0..=page_height + 1.0).contains(&y)
        };
        if self.out.glyphs.len() >= MAX_GLYPHS {
            return;
        }
        // Also for what is not a number.
        let is_beside = !(on_page(origin) || on_page(advance));
        let start = self.out.text.len() as u32;
        if !font.push_text(code, &mut self.out.text) {
            self.out.unreadable += usize::from(!is_beside && (run != 0.0 || fall != 0.0));
            return;
        }
        let end = self.out.text.len() as u32;
        if end > start {
            let glyph = Glyph {
                start,
                end,
                origin: origin.map(|value| value as f32),
                advance: advance.map(|value| value as f32),
                up: [(top[0] - origin[0]) as f32, (top[1] - origin[1]) as f32],
                bold: font.bold,
            };
            let doubt = if is_beside {
                Some(Hidden::Outside)
            } else {
                self.paints.hidden(&glyph, &state.ink, self.shown_size[1])
            };
            self.push(glyph, doubt);
        }
    }

    fn push(&mut self, glyph: Glyph, doubt: Option<Hidden>) {
        self.out.glyphs.push(glyph);
        self.doubts.push((doubt, self.paints.drawn() as u32));
    }

    fn font(&mut self, resources: &'a Dictionary, name: &[u8]) -> Option<Rc<Font>> {
        let object = dictionary(self.document, resources, b"Font")?.get(name).ok()?;
        let load = || {
            let font = follow(self.document, object).as_dict().ok()?;
            Some(Rc::new(Font::load(self.document, font)))
        };
        let Ok(id) = object.as_reference() else {
            return load();
        };
        if let Some(font) = self.fonts.get(&id) {
            return Some(Rc::clone(font));
        }
        let font = load()?;
        self.fonts.insert(id, Rc::clone(&font));
        Some(font)
    }

    fn draw_object(&mut self, name: &[u8], resources: &'a Dictionary, state: &State, depth: usize) {
        let object =
            dictionary(self.document, resources, b"XObject").and_then(|objects| entry(self.document, objects, name));
        let Some(Object::Stream(form)) = object else {
            return;
        };
        if self::name(self.document, &form.dict, b"Subtype") == Some(b"Image") {
            self.count_image(state);
            return;
        }
        self.draw_form(form, resources, state, depth);
    }

    /// A picture fills the unit square of its coordinates.
    fn count_image(&mut self, state: &State) {
        self.paints.unknown(visible::unit_square(&state.to_page), &state.ink);
        let [a, b, c, d, ..] = state.to_page;
        let [width, height] = self.shown_size;
        let share = ((a * d - b * c).abs() / (width * height).max(1.0)).min(1.0);
        self.out.image_share = (self.out.image_share + share).min(1.0);
    }

    fn draw_form(&mut self, form: &'a lopdf::Stream, resources: &'a Dictionary, state: &State, depth: usize) {
        if depth >= MAX_FORM_DEPTH || self.form_bytes_left == 0 {
            return;
        }
        let limit = self.max_form_bytes.min(self.form_bytes_left);
        let Ok(content) = form.get_plain_content_with_limit(limit) else {
            return;
        };
        self.form_bytes_left -= content.len().min(self.form_bytes_left);
        let matrix = matrix_of(self.document, entry(self.document, &form.dict, b"Matrix"));
        let mut state = state.clone();
        state.to_page = multiply(&matrix, &state.to_page);
        if let Some(bbox) = numbers::<4>(self.document, &form.dict, b"BBox") {
            state.ink.clip(&[(visible::area(&state.to_page, bbox), true)]);
        }
        let resources = dictionary(self.document, &form.dict, b"Resources").unwrap_or(resources);
        self.run(&content, resources, state, depth + 1);
    }

    /// Draws what was filled into form fields, typed or stamped onto the page: the appearance
    /// streams of annotations (ISO 32000-1, 12.5.5), or the values of fields that have none.
    fn draw_annotations(&mut self, page: ObjectId, resources: &'a Dictionary, state: &State) {
        const HIDDEN_OR_NO_VIEW: i64 = 1 << 1 | 1 << 5;
        let annotations = self
            .document
            .get_dictionary(page)
            .ok()
            .and_then(|page| entry(self.document, page, b"Annots")?.as_array().ok());
        for annotation in annotations.into_iter().flatten() {
            let Ok(annotation) = follow(self.document, annotation).as_dict() else {
                continue;
            };
            let flags = entry(self.document, annotation, b"F").map_or(0.0, number) as i64;
            if flags & HIDDEN_OR_NO_VIEW != 0 {
                continue;
            }
            match name(self.document, annotation, b"Subtype") {
                Some(b"Widget") => {
                    let drawn = self.out.glyphs.len();
                    let [_, y0, _, y1] = numbers::<4>(self.document, annotation, b"Rect").unwrap_or_default();
                    let signs = fields::mark(self.document, annotation)
                        .or_else(|| fields::list(self.document, annotation, (y1 - y0).abs()));
                    if let Some(signs) = signs {
                        self.draw_value(annotation, &signs, state);
                    } else {
                        self.draw_annotation(annotation, resources, state);
                    }
                    if self.out.glyphs.len() == drawn
                        && let Some(value) = fields::value(self.document, annotation)
                    {
                        self.draw_value(annotation, &value, state);
                    }
                }
                // Notes are icons and pop-ups are closed until someone opens them.
                None | Some(b"Popup" | b"Text" | b"Link") => {}
                Some(_) => {
                    self.draw_annotation(annotation, resources, state);
                }
            }
        }
    }

    /// Shows a field's value in its rectangle, as viewers do that draw it themselves.
    fn draw_value(&mut self, annotation: &Dictionary, value: &FieldValue, state: &State) {
        const MEAN_WIDTH: f64 = 0.5;
        let Some([x0, y0, x1, y1]) = numbers::<4>(self.document, annotation, b"Rect") else { return };
        let (left, bottom, height) = (x0.min(x1), y0.min(y1), (y1 - y0).abs());
        let mark;
        let (lines, stated, multiline) = match value {
            FieldValue::Mark(sign) => {
                mark = [(*sign).to_owned()];
                (mark.as_slice(), height, false)
            }
            FieldValue::Text { lines, size, multiline } => (lines.as_slice(), *size, *multiline),
        };
        let size = if stated > 0.0 { stated.min(height.max(4.0)) } else { (0.7 * height).clamp(4.0, 12.0) };
        let mut y = if multiline { bottom + height - size } else { bottom + 0.5 * height - 0.28 * size };
        for line in lines {
            let mut x = left + 2.0;
            for character in line.chars() {
                let width = MEAN_WIDTH * size;
                self.place_character(character, [x, y], width, size, &state.to_page);
                x += width;
            }
            y -= fields::LINE_HEIGHT * size;
        }
    }

    fn place_character(&mut self, character: char, [x, y]: [f64; 2], width: f64, size: f64, to_page: &Matrix) {
        if self.out.glyphs.len() >= MAX_GLYPHS {
            return;
        }
        let start = self.out.text.len() as u32;
        self.out.text.push(character);
        let origin = apply(to_page, x, y);
        let top = apply(to_page, x, y + size);
        let glyph = Glyph {
            start,
            end: self.out.text.len() as u32,
            origin: origin.map(|value| value as f32),
            advance: apply(to_page, x + width, y).map(|value| value as f32),
            up: [(top[0] - origin[0]) as f32, (top[1] - origin[1]) as f32],
            bold: false,
        };
        self.push(glyph, None);
    }

    fn draw_annotation(&mut self, annotation: &'a Dictionary, resources: &'a Dictionary, state: &State) -> Option<()> {
        let appearances = dictionary(self.document, annotation, b"AP")?;
        let form = match entry(self.document, appearances, b"N")? {
            Object::Stream(form) => form,
            Object::Dictionary(states) => {
                let shown = name(self.document, annotation, b"AS")?;
                entry(self.document, states, shown)?.as_stream().ok()?
            }
            _ => return None,
        };
        let [x0, y0, x1, y1]: [f64; 4] = numbers(self.document, annotation, b"Rect")?;
        let bbox: [f64; 4] = numbers(self.document, &form.dict, b"BBox")?;
        let matrix = matrix_of(self.document, entry(self.document, &form.dict, b"Matrix"));
        let corners = [(0, 1), (2, 1), (0, 3), (2, 3)].map(|(x, y)| apply(&matrix, bbox[x], bbox[y]));
        let least = |axis: usize| corners.iter().map(|c| c[axis]).fold(f64::INFINITY, f64::min);
        let most = |axis: usize| corners.iter().map(|c| c[axis]).fold(f64::NEG_INFINITY, f64::max);
        let scale = |rect: f64, form: f64| if form > 0.0 { rect / form } else { 1.0 };
        let sx = scale((x1 - x0).abs(), most(0) - least(0));
        let sy = scale((y1 - y0).abs(), most(1) - least(1));
        let (tx, ty) = (x0.min(x1) - least(0) * sx, y0.min(y1) - least(1) * sy);
        let mut state = state.clone();
        state.to_page = multiply(&[sx, 0.0, 0.0, sy, tx, ty], &state.to_page);
        self.draw_form(form, resources, &state, 0);
        Some(())
    }
}
