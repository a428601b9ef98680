//! A bundle as people read it: one page of HTML that loads nothing and runs nothing, made of the record and the pages
//! alone, so that it can be made again and compared.

use std::fmt::Write;

use super::{Bundle, Quoted};
use crate::library::Grade;

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
    <title>Answer with its evidence</title><style>\
    body{max-width:44rem;margin:2rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}\
    pre{white-space:pre-wrap;overflow-wrap:anywhere;font:0.9rem/1.5 Georgia,serif;border-left:3px solid #bbb;padding-left:1rem}\
    mark{background:#ffe383}td,th{text-align:left;padding:0.2rem 0.8rem 0.2rem 0;vertical-align:top;overflow-wrap:anywhere}\
    </style></head><body>\n";

pub(super) fn html(bundle: &Bundle) -> String {
    let record = &bundle.record;
    let mut page = HEAD.to_owned();
    let grade = match record.grade {
        Grade::Answered => "The files hold this answer.",
        Grade::Partly => "The files hold this answer in part, or may not hold all that was asked.",
        Grade::NotInFiles => "The files do not hold an answer; the quotes are only what comes closest.",
    };
    let _ = writeln!(page, "<h1>{}</h1>", escaped(&record.question));
    if let Some(understood) = &record.understood {
        let _ = writeln!(page, "<p>Understood as: {}</p>", escaped(understood));
    }
    for line in record.answer.lines().filter(|line| !line.trim().is_empty()) {
        let _ = writeln!(page, "<p>{}</p>", escaped(line));
    }
    let _ = writeln!(page, "<p><em>{grade}</em></p>");
    quotes(&mut page, "Quotes", &record.citations);
    quotes(&mut page, "Sentences that bear most on the question", &record.evidence);
    page.push_str("<h2>Files</h2>\n<table><tr><th>File</th><th>Bytes</th><th>SHA-256</th></tr>\n");
    for source in &record.sources {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&source.file),
            source.size_bytes,
            escaped(&source.sha256)
        );
    }
    page.push_str("</table>\n<h2>Made by</h2>\n<table>\n");
    let made = &record.made_by;
    let rows = [
        ("Asked", record.asked_at.to_rfc3339()),
        ("Exported", record.exported_at.to_rfc3339()),
        ("Program", format!("premise {}, reader {}", made.premise, made.reader)),
        ("Model", format!("{} {}", made.model, made.model_sha256.as_deref().unwrap_or("(its file was not verified)"))),
        ("Embedder", format!("{} {} {}", made.embedder.name, made.embedder.precision, made.embedder.sha256)),
        ("Index", made.index.clone()),
        ("Answer", record.id.to_string()),
    ];
    for (name, value) in rows {
        let _ = writeln!(page, "<tr><th>{name}</th><td>{}</td></tr>", escaped(&value));
    }
    page.push_str("</table>\n<h2>Pages that are quoted, as the program reads them</h2>\n");
    for (entry, text) in &bundle.pages {
        let all = record.citations.iter().chain(&record.evidence);
        let here: Vec<&Quoted> = all.filter(|quoted| quoted.text == *entry).collect();
        let Some(first) = here.first() else { continue };
        let _ = writeln!(
            page,
            "<h3>{}, page {}</h3>\n<pre>{}</pre>",
            escaped(&first.file),
            first.page,
            marked(text, &here)
        );
    }
    page.push_str(
        "<p>`premise verify` checks this file. It is not signed: it proves that the quotes stand on these pages, not who \
         made it.</p>\n</body></html>\n",
    );
    page
}

fn quotes(page: &mut String, title: &str, quotes: &[Quoted]) {
    if quotes.is_empty() {
        return;
    }
    let _ = writeln!(page, "<h2>{title}</h2>");
    for Quoted { n, file, page: number, quote, .. } in quotes {
        let _ = writeln!(
            page,
            "<p>[{n}] {}, page {number}</p>\n<blockquote>{}</blockquote>",
            escaped(file),
            escaped(quote)
        );
    }
}

/// A page's text with its quotes marked; where two overlap, they are one mark.
fn marked(text: &str, quotes: &[&Quoted]) -> String {
    let mut spans: Vec<(usize, usize)> =
        quotes.iter().map(|quoted| (quoted.start as usize, quoted.end as usize)).collect();
    spans.sort_unstable();
    let mut html = String::new();
    let mut end = 0;
    for (from, to) in spans {
        let from = from.max(end);
        let (Some(before), Some(quote)) = (text.get(end..from), text.get(from..to)) else { continue };
        let _ = write!(html, "{}<mark>{}</mark>", escaped(before), escaped(quote));
        end = to;
    }
    html.push_str(&escaped(&text[end..]));
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
