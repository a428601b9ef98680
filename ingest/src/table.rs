//! Tables as text: values parted by commas, semicolons or tabs, one row a line. Only this file names csv.

use csv::ReaderBuilder;

use crate::flow::Flow;
use crate::text::decode;
use crate::{Document, Limits, MediaType, Problem, ReadError};

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Document, ReadError> {
    let (text, lossy) = decode(bytes);
    if text.contains('\0') || bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"%PDF-") {
        return Err(ReadError::NotWhatItSays { named: MediaType::Csv.name() });
    }
    let text = text.trim_start_matches('\u{feff}');
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter(text)).has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut flow = Flow::default();
    for record in reader.records() {
        let record = record.map_err(|error| ReadError::Damaged(error.to_string()))?;
        flow.start_row();
        for value in &record {
            flow.start_cell();
            for line in value.lines() {
                flow.push(line);
                flow.end_line();
            }
        }
        flow.end_row();
        flow.check(limits)?;
    }
    let problem = || Problem::on_file("some characters are not valid in the file's encoding");
    let problems = lossy.then(problem).into_iter().collect();
    Ok(Document { problems, ..flow.document(MediaType::Csv, limits)? })
}

/// The character that parts most of the first line that has any; commas where none does.
fn delimiter(text: &str) -> u8 {
    const CANDIDATES: [u8; 4] = [b',', b';', b'\t', b'|'];
    let counts = |line: &str| CANDIDATES.map(|candidate| line.bytes().filter(|&byte| byte == candidate).count());
    let first = text.lines().map(counts).find(|counts| counts.iter().any(|&count| count > 0)).unwrap_or_default();
    let most = first.iter().max().copied().unwrap_or_default();
    CANDIDATES[first.iter().position(|&count| count == most).unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lines_whatever_parts_them() {
        let check = |bytes: &[u8]| {
            let document = read(bytes, &Limits::default()).expect("it is a table");
            assert_eq!(document.pages[0].text, "Item | Price\nDesk, oak | 100");
        };
        check(b"Item,Price\r\n\"Desk, oak\",100\r\n");
        check(b"Item;Price\nDesk, oak;100");
        check(b"\xef\xbb\xbfItem\tPrice\n\"Desk,\noak\"\t100\n");
    }
}
