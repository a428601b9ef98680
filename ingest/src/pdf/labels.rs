//! Page labels: the numbers printed on pages, which differ from their position in the file
//! (ISO 32000-1, 12.4.2).

use std::collections::BTreeMap;

use lopdf::{Dictionary, Document};

use super::objects::{as_dictionary, dictionary, entry, follow, name, number, text_string};

const MAX_TREE_DEPTH: usize = 16;
/// A tree that names itself as its child would not end otherwise.
const MAX_NODES: usize = 10_000;

/// The label of each page; none where it would only repeat the page's position.
pub(super) fn page_labels(document: &Document, pages: usize) -> Vec<Option<String>> {
    let mut ranges = BTreeMap::new();
    let tree = document.catalog().ok().and_then(|catalog| dictionary(document, catalog, b"PageLabels"));
    if let Some(tree) = tree {
        let mut nodes_left = MAX_NODES;
        collect(document, tree, &mut ranges, &mut nodes_left, MAX_TREE_DEPTH);
    }
    (0..pages)
        .map(|page| {
            let (first, range) = ranges.range(..=page).next_back()?;
            let label = label(document, range, page - first)?;
            (label != (page + 1).to_string()).then_some(label)
        })
        .collect()
}

fn collect<'a>(
    document: &'a Document,
    node: &'a Dictionary,
    ranges: &mut BTreeMap<usize, &'a Dictionary>,
    nodes_left: &mut usize,
    depth: usize,
) {
    let array = |key: &[u8]| entry(document, node, key).and_then(|object| object.as_array().ok());
    for pair in array(b"Nums").into_iter().flat_map(|nums| nums.chunks_exact(2)) {
        let first = number(follow(document, &pair[0])) as usize;
        if let Some(range) = as_dictionary(follow(document, &pair[1])) {
            ranges.insert(first, range);
        }
    }
    for kid in array(b"Kids").into_iter().flatten() {
        if *nodes_left == 0 || depth == 0 {
            return;
        }
        *nodes_left -= 1;
        if let Some(kid) = as_dictionary(follow(document, kid)) {
            collect(document, kid, ranges, nodes_left, depth - 1);
        }
    }
}

fn label(document: &Document, range: &Dictionary, offset: usize) -> Option<String> {
    let prefix = entry(document, range, b"P").and_then(text_string).unwrap_or_default();
    let start = entry(document, range, b"St").map_or(1.0, number).max(1.0) as usize;
    let value = start.saturating_add(offset);
    let numeral = match name(document, range, b"S") {
        Some(b"D") => value.to_string(),
        Some(b"R") => roman(value),
        Some(b"r") => roman(value).to_lowercase(),
        Some(b"A") => letters(value),
        Some(b"a") => letters(value).to_lowercase(),
        _ => String::new(),
    };
    let label = prefix + &numeral;
    (!label.is_empty()).then_some(label)
}

fn roman(mut value: usize) -> String {
    const NUMERALS: [(usize, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if value > 9_999 {
        return value.to_string();
    }
    let mut numeral = String::new();
    for (worth, letters) in NUMERALS {
        while value >= worth {
            numeral.push_str(letters);
            value -= worth;
        }
    }
    numeral
}

/// `A` to `Z`, then `AA` to `ZZ`: the same letter repeated.
fn letters(value: usize) -> String {
    let letter = char::from(b'A' + ((value - 1) % 26) as u8);
    let repeats = ((value - 1) / 26 + 1).min(100);
    std::iter::repeat_n(letter, repeats).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerals_count_like_printers_do() {
        assert_eq!(roman(1994), "MCMXCIV");
        assert_eq!(letters(1), "A");
        assert_eq!(letters(28), "BB");
    }
}
