//! Texts, pages, tables and pictures.

use super::Hostile;

pub(super) fn all() -> Vec<Hostile> {
    let page = |inside: String| format!("<html><body>{inside}").into_bytes();
    let rtf = |inside: &str| format!("{{\\rtf1\\ansi {inside}").into_bytes();
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("deep-elements.html", page("<div>".repeat(1_000_000) + "text")),
        ("deep-tables.html", page("<table><tr><td>".repeat(300_000) + "text")),
        ("comment-without-end.html", page("text<!-- ".to_owned() + &"-".repeat(5_000_000))),
        ("script-without-end.html", page("text<script>".to_owned() + &"</scrip".repeat(500_000))),
        ("attribute-of-megabytes.html", page(format!("<p a='{}'>text", "a".repeat(20_000_000)))),
        (
            "attributes-by-the-thousand.html",
            page(format!("<p {}>text", (0..200_000).map(|at| format!("a{at} ")).collect::<String>())),
        ),
        ("entities-by-the-thousand.html", page("&NotEqualTilde;&#1114111;&#x110000;&".repeat(5_000))),
        ("encoding-that-lies.html", b"<meta charset=utf-16><p>\xff\xfe\x00text".repeat(1000)),
        ("hidden.html", page("<p hidden>nobody sees this</p>".repeat(1000))),
        ("deep-groups.rtf", rtf(&"{".repeat(3_000_000))),
        ("ends-without-starts.rtf", rtf(&"}".repeat(3_000_000))),
        ("raw-bytes-without-end.rtf", rtf("\\bin2147483647 x")),
        ("raw-bytes-of-less-than-none.rtf", rtf("\\bin-99 text")),
        ("characters-by-the-million.rtf", rtf(&"\\u-1?\\uc99999 \\u55296?".repeat(300_000))),
        ("fonts-by-the-thousand.rtf", rtf(&"{\\fonttbl{\\f1\\fcharset204 x;}}\\f99999999999 ".repeat(50_000))),
        ("cells-without-rows.rtf", rtf(&"\\cell\\row\\trowd".repeat(300_000))),
        ("quote-without-end.csv", b"a,\"".iter().copied().chain(b"x,\n".repeat(20_000)).collect()),
        ("columns-by-the-million.csv", b"a,".repeat(50_000)),
        ("one-line.txt", b"words without a line end ".repeat(4_000)),
        ("one-word.txt", vec![b'a'; 500_000]),
        ("marks-upon-marks.txt", "e\u{301}\u{302}\u{303}".repeat(30_000).into_bytes()),
        ("form-feeds.txt", vec![12; 1_000_000]),
        ("encoding-that-breaks-off.txt", b"\xff\xfea\0b\0c".to_vec()),
        ("program.txt", b"\x7fELF\x02\x01\x01\0\0\0".repeat(1000)),
        ("lines-of-nothing.md", b"\n".repeat(5_000_000)),
        ("quotes-within-quotes.md", b">".repeat(2_000_000)),
        ("picture.png", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("picture-of-nothing.tiff", b"II*\0\xff\xff\xff\xff".to_vec()),
        ("no-picture.jpg", b"<script>".to_vec()),
    ];
    files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}
