//! Form fields as the reader sees them (ISO 32000-1, 12.7): what is filled in where the file draws
//! nothing, the state of boxes, and the line on the page that a value belongs to.

use lopdf::{Dictionary, Document, Object};

use super::lexer::{Lexer, Operand};
use super::lines::Line;
use super::objects::{dictionary, entry, follow, name, number, text_lines};

const MAX_FIELD_DEPTH: usize = 16;
const MAX_VALUE_BYTES: usize = 1 << 20;
const MULTILINE: i64 = 1 << 12;
const PASSWORD: i64 = 1 << 13;
const RADIO: i64 = 1 << 15;
const PUSH_BUTTON: i64 = 1 << 16;
const COMBO: i64 = 1 << 17;

/// From one line of a field to the next, in sizes of its type, and that size where the field does not say it.
pub(super) const LINE_HEIGHT: f64 = 1.15;
const USUAL_SIZE: f64 = 12.0;

/// What stands in a field.
#[derive(Debug, PartialEq)]
pub(super) enum FieldValue {
    /// A box that is ticked or not, as a sign.
    Mark(&'static str),
    /// Lines of text, with their size in points and whether they begin at the top.
    Text { lines: Vec<String>, size: f64, multiline: bool },
}

/// The sign of a tick box or radio button; none for other fields.
pub(super) fn mark(document: &Document, widget: &Dictionary) -> Option<FieldValue> {
    let kind = inherited(document, widget, b"FT")?.as_name().ok()?;
    let flags = flags(document, widget);
    if kind != b"Btn" || flags & PUSH_BUTTON != 0 {
        return None;
    }
    let on = name(document, widget, b"AS").is_some_and(|state| state != b"Off");
    Some(FieldValue::Mark(match (flags & RADIO != 0, on) {
        (false, true) => "☑",
        (false, false) => "☐",
        (true, true) => "◉",
        (true, false) => "○",
    }))
}

/// The options of a list that stands open, each with a sign of whether it is chosen: its drawn appearance tells that by
/// a colour alone. As many as there is room for in its rectangle, and all that are chosen.
pub(super) fn list(document: &Document, widget: &Dictionary, height: f64) -> Option<FieldValue> {
    if inherited(document, widget, b"FT")?.as_name().ok()? != b"Ch" || flags(document, widget) & COMBO != 0 {
        return None;
    }
    let options = inherited(document, widget, b"Opt")?.as_array().ok()?;
    let chosen = inherited(document, widget, b"V").map(|chosen| texts(document, chosen)).unwrap_or_default();
    let size = size(document, widget);
    let room = (height / (LINE_HEIGHT * if size > 0.0 { size } else { USUAL_SIZE })).max(1.0) as usize;
    let first = inherited(document, widget, b"TI").map_or(0.0, number).max(0.0) as usize;
    let mut lines = Vec::new();
    for (at, option) in options.iter().enumerate() {
        let (export, shown) = match follow(document, option) {
            Object::Array(pair) => (pair.first()?, pair.get(1)?),
            one => (one, one),
        };
        let [export, shown] = [export, shown].map(|text| plain(follow(document, text)));
        let is_chosen = export.is_some_and(|export| chosen.contains(&export));
        if is_chosen || (first..first + room).contains(&at) {
            lines.push(format!("{} {}", if is_chosen { "☑" } else { "☐" }, shown?));
        }
    }
    (!lines.is_empty()).then_some(FieldValue::Text { lines, size, multiline: true })
}

/// A text, or those of an array.
fn texts(document: &Document, stated: &Object) -> Vec<String> {
    match stated {
        Object::Array(items) => items.iter().filter_map(|item| plain(follow(document, item))).collect(),
        one => plain(one).into_iter().collect(),
    }
}

/// A text in one line.
fn plain(object: &Object) -> Option<String> {
    text_lines(object).map(|lines| lines.join(" "))
}

/// What was typed or chosen.
pub(super) fn value(document: &Document, widget: &Dictionary) -> Option<FieldValue> {
    let kind = inherited(document, widget, b"FT")?.as_name().ok()?;
    let flags = flags(document, widget);
    let stated = inherited(document, widget, b"V")?;
    let lines = match kind {
        b"Tx" if flags & PASSWORD == 0 => match stated {
            Object::Stream(stream) => {
                let text = stream.get_plain_content_with_limit(MAX_VALUE_BYTES).ok()?;
                text_lines(&Object::String(text, lopdf::StringFormat::Literal))?
            }
            text => text_lines(text)?,
        },
        b"Ch" => {
            let chosen = match stated {
                Object::Array(items) => items.iter().map(|item| follow(document, item)).collect(),
                one => vec![one],
            };
            chosen.into_iter().filter_map(|item| shown_option(document, widget, item)).collect()
        }
        _ => return None,
    };
    (!lines.is_empty()).then(|| FieldValue::Text {
        lines,
        size: size(document, widget),
        multiline: kind == b"Tx" && flags & MULTILINE != 0,
    })
}

/// An option as it is shown, which may differ from the value that the form hands on.
fn shown_option(document: &Document, widget: &Dictionary, value: &Object) -> Option<String> {
    let value = plain(value)?;
    let options = inherited(document, widget, b"Opt").and_then(|options| options.as_array().ok());
    let shown = options.into_iter().flatten().find_map(|option| match follow(document, option) {
        Object::Array(pair) => match pair.as_slice() {
            [export, shown] if plain(follow(document, export))? == value => plain(follow(document, shown)),
            _ => None,
        },
        _ => None,
    });
    Some(shown.unwrap_or(value))
}

fn flags(document: &Document, widget: &Dictionary) -> i64 {
    inherited(document, widget, b"Ff").map_or(0.0, number) as i64
}

/// The font size of the default appearance; 0 when the viewer is to choose.
fn size(document: &Document, widget: &Dictionary) -> f64 {
    let form = document.catalog().ok().and_then(|catalog| dictionary(document, catalog, b"AcroForm"));
    let appearance = inherited(document, widget, b"DA").or_else(|| entry(document, form?, b"DA"));
    let Some(Ok(appearance)) = appearance.map(Object::as_str) else { return 0.0 };
    let mut lexer = Lexer::new(appearance);
    while let Some(operator) = lexer.next_operator() {
        if operator == b"Tf" {
            return lexer.operands.last().map_or(0.0, Operand::number).abs();
        }
    }
    0.0
}

/// A field's entry, or that of the field above it.
fn inherited<'a>(document: &'a Document, widget: &'a Dictionary, key: &[u8]) -> Option<&'a Object> {
    let mut field = widget;
    for _ in 0..MAX_FIELD_DEPTH {
        if let Some(found) = entry(document, field, key) {
            return Some(found);
        }
        field = dictionary(document, field, b"Parent")?;
    }
    None
}

/// Puts the lines of fields, which are drawn last, where the page has room for them: within the
/// printed line on their baseline, or after the line above.
pub(super) fn place(printed: &mut Vec<Line>, fields: Vec<Line>) {
    for field in fields {
        let near = 0.6 * field.size.max(8.0);
        let beside = |line: &Line| line.level && field.level && (line.baseline - field.baseline).abs() < near;
        let clear = |line: &Line| {
            line.words.iter().all(|word| word.bbox[2] <= field.bbox[0] + 1.0 || word.bbox[0] >= field.bbox[2] - 1.0)
        };
        let left_end = |line: &Line| {
            line.words
                .iter()
                .map(|word| word.bbox[2])
                .filter(|&end| end <= field.bbox[0] + 1.0)
                .fold(f32::MIN, f32::max)
        };
        let host = printed
            .iter_mut()
            .filter(|line| beside(line) && clear(line))
            .max_by(|a, b| left_end(a).total_cmp(&left_end(b)));
        if let Some(host) = host {
            host.insert(field);
            continue;
        }
        let above = |line: &Line| line.baseline > field.baseline && line.overlap(&field) > 0.0;
        let nearest = (0..printed.len())
            .filter(|&at| above(&printed[at]))
            .min_by(|&a, &b| printed[a].baseline.total_cmp(&printed[b].baseline));
        let at = nearest.map_or(printed.len(), |at| at + 1);
        printed.insert(at, field);
    }
}
