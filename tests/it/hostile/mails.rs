//! Mails: within each other without end, parts that never end, heads of megabytes, names that lead elsewhere.

use super::Hostile;

const HEAD: &str =
    "From: a@example.org\r\nTo: b@example.org\r\nSubject: A mail\r\nDate: Tue, 1 Jul 2025 10:00:00 +0000\r\n";

pub(super) fn all() -> Vec<Hostile> {
    let nested = |depth: usize| {
        let start: String =
            (0..depth).map(|at| format!("{HEAD}Content-Type: message/rfc822\r\nX-Depth: {at}\r\n\r\n")).collect();
        start + HEAD + "\r\nThe innermost.\r\n"
    };
    let multipart = |inside: &str| format!("{HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n{inside}");
    let attached = |name: &str, text: &str| {
        format!(
            "--b\r\nContent-Type: text/plain; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n{text}\r\n"
        )
    };
    let deep: String =
        (0..20_000).map(|at| format!("Content-Type: multipart/mixed; boundary=b{at}\r\n\r\n--b{at}\r\n")).collect();
    let text_in_base64 = "Content-Transfer-Encoding: base64\r\nContent-Type: message/rfc822\r\n\r\n";
    [
        ("mail-in-mail", nested(1000)),
        ("mail-in-mail-in-base64", format!("{HEAD}{text_in_base64}{}", "RnJvbTogYQ0KDQo=\r\n".repeat(10_000))),
        ("parts-within-parts", format!("{HEAD}{deep}text")),
        ("parts-of-the-same-border", multipart(&"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".repeat(10_000))),
        ("parts-by-the-thousand", multipart(&"--b\r\n\r\nx\r\n".repeat(100_000))),
        ("attachments-by-the-thousand", multipart(&(0..3000).map(|at| attached(&format!("{at}.txt"), "x")).collect::<String>())),
        ("attachments-that-lead-elsewhere", multipart(&["../../../etc/passwd.txt", "C:\\\\x.txt", "/a/b.txt", "..", "a\tb.txt", "con.txt"].map(|name| attached(name, "some words")).concat())),
        ("attachments-of-one-name", multipart(&attached("same.txt", "some words").repeat(50))),
        ("a-border-without-end", format!("{HEAD}Content-Type: multipart/mixed; boundary={}\r\n\r\n--", "b".repeat(2_000_000))),
        ("a-border-that-never-comes", multipart("no border here")),
        ("head-by-the-thousand", format!("{}{HEAD}\r\ntext", "X-A: b\r\n".repeat(300_000))),
        ("head-without-end", format!("{HEAD}X-Long: {}", " folded\r\n".repeat(300_000))),
        ("people-by-the-thousand", format!("To: {}\r\n{HEAD}\r\ntext", "a@example.org, ".repeat(2_000))),
        ("groups-within-groups", format!("To: {}\r\n{HEAD}\r\ntext", "a:(((".repeat(100_000))),
        ("words-in-code", format!("Subject: {}\r\n{HEAD}\r\ntext", "=?utf-8?b?////?= =?x?q?=ff?= ".repeat(2_000))),
        ("nonsense-in-base64", format!("{HEAD}Content-Transfer-Encoding: base64\r\n\r\n{}", "%%%=A=".repeat(10_000))),
        ("nonsense-in-quotes", format!("{HEAD}Content-Transfer-Encoding: quoted-printable\r\n\r\n{}", "=ZZ=\r\n=".repeat(5_000))),
        ("page-that-nests", format!("{HEAD}Content-Type: text/html\r\n\r\n{}text", "<table><tr><td>".repeat(100_000))),
        ("sealed", format!("{HEAD}Content-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n")),
        ("attachment-that-unpacks-to-much", multipart(&attached("x.docx", "PK\u{3}\u{4}nonsense"))),
        ("no-mail", "Just some words.".to_owned()),
        ("nul-bytes", "\0".repeat(100_000)),
    ]
    .into_iter()
    .map(|(name, mail)| (format!("{name}.eml"), mail.into_bytes()))
    .collect()
}
