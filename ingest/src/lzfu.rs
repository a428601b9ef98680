//! The packed RTF of Outlook's messages ([MS-OXRTFCP]): back references into a window of 4096 bytes that starts with
//! words every RTF file has.

use crate::{Limits, ReadError};

const WINDOW: usize = 4096;
const KNOWN: &[u8] =
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \
    \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \
    \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
/// Sizes, kind and checksum.
const HEAD_BYTES: usize = 16;

pub(crate) fn unpack(packed: &[u8], limits: &Limits) -> Result<Vec<u8>, ReadError> {
    let damaged = || ReadError::Damaged("its text is packed in a way that is not known".into());
    let (head, body) = packed.split_at_checked(HEAD_BYTES).ok_or_else(damaged)?;
    match &head[8..12] {
        b"MELA" => return Ok(body.to_vec()),
        b"LZFu" => {}
        _ => return Err(damaged()),
    }
    let mut window = [b' '; WINDOW];
    window[..KNOWN.len()].copy_from_slice(KNOWN);
    let mut write_at = KNOWN.len();
    let mut text = Vec::new();
    let mut bytes = body.iter().copied();
    // Each byte of flags tells of the next eight: a byte as it is, or two bytes that point back.
    'text: while let Some(flags) = bytes.next() {
        for bit in 0..8 {
            let Some(first) = bytes.next() else { break 'text };
            if flags & (1 << bit) == 0 {
                window[write_at] = first;
                write_at = (write_at + 1) % WINDOW;
                text.push(first);
                continue;
            }
            let Some(second) = bytes.next() else { break 'text };
            let reference = usize::from(first) << 8 | usize::from(second);
            let read_at = reference >> 4;
            if read_at == write_at {
                break 'text;
            }
            for step in 0..(reference & 15) + 2 {
                let byte = window[(read_at + step) % WINDOW];
                window[write_at] = byte;
                write_at = (write_at + 1) % WINDOW;
                text.push(byte);
            }
        }
        Limits::check("bytes of text", text.len(), limits.max_bytes)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first example of the specification (4.1.1).
    #[test]
    fn the_example_of_the_specification_is_unpacked() {
        let packed = b"\x2d\0\0\0\x2b\0\0\0LZFu\xf1\xc5\xc7\xa7\x03\0\x0a\0rcpg125\x42\x32\x0a\xf3 hel\x09\0 bw\x05\xb0ld}\x0a\x80\x0f\xa0";
        let text = unpack(packed, &Limits::default()).expect("it is packed as specified");
        assert_eq!(text, b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
    }

    #[test]
    fn what_is_not_packed_so_is_refused() {
        assert!(unpack(b"short", &Limits::default()).is_err());
        assert!(unpack(b"0123456789ABCDEFGHIJ", &Limits::default()).is_err());
        assert_eq!(unpack(b"\0\0\0\0\0\0\0\0MELA\0\0\0\0plain", &Limits::default()).expect("it is plain"), b"plain");
    }
}
