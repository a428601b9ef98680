//! Mails: what a reader sees of the head, the body, and the attachments as files of their own. Only this file names
//! mail-parser.

use mail_parser::{Address, DateTime, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use crate::attachments::Attachments;
use crate::flow::Flow;
use crate::{Document, Limits, MediaType, Problem, ReadError, Reading, html};

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Reading, ReadError> {
    let message = MessageParser::default()
        .parse(bytes)
        .filter(|message| message.from().is_some() || message.subject().is_some() || message.date().is_some())
        .ok_or(ReadError::NotWhatItSays { named: MediaType::Mail.name() })?;
    let head = Head {
        subject: message.subject().map(str::to_owned),
        from: message.from().map(people).unwrap_or_default(),
        to: message.to().map(people).unwrap_or_default(),
        cc: message.cc().map(people).unwrap_or_default(),
        date: message.date().map(day_and_time),
    };
    let mut flow = Flow::default();
    head.flow_into(&mut flow);
    let bodies: Vec<&MessagePart<'_>> = message.html_bodies().collect();
    for body in bodies {
        match &body.body {
            PartType::Html(text) => drop(html::flow_into(&mut flow, text, limits)?),
            PartType::Text(text) => plain(&mut flow, text, limits)?,
            _ => {}
        }
        flow.end_paragraph();
    }
    let mut attachments = Attachments::new(limits);
    let mut problems = Vec::new();
    for part in message.attachments() {
        let name = part.attachment_name().or_else(|| nested(part)?.subject());
        if is_sealed(part) {
            let message = "the mail is encrypted or sealed: what is within cannot be read".to_owned();
            problems.push(Problem::on_file(message));
        } else if !is_decoration(part) {
            attachments.add(name, extension(part), content(&message, part))?;
        }
    }
    let attachments = attachments.finish(&mut flow);
    let document = Document { problems, ..flow.document(MediaType::Mail, limits)? };
    Ok(Reading { document: head.apply(document), attachments })
}

/// What the head of a mail says, in the words of its reader.
pub(crate) struct Head {
    pub(crate) subject: Option<String>,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) cc: String,
    /// The day, of ISO 8601, and the time of day where it was sent.
    pub(crate) date: Option<(String, String)>,
}

impl Head {
    pub(crate) fn flow_into(&self, flow: &mut Flow) {
        if let Some(subject) = self.subject.as_deref().filter(|subject| !subject.trim().is_empty()) {
            flow.push(subject);
            flow.end_heading(1);
        }
        let date = self.date.as_ref().map(|(day, time)| format!("{day} {time}")).unwrap_or_default();
        for (name, value) in [("From", &self.from), ("To", &self.to), ("Cc", &self.cc), ("Date", &date)] {
            if !value.is_empty() {
                flow.push(&format!("{name}: {value}"));
                flow.end_line();
            }
        }
        flow.part();
    }

    pub(crate) fn apply(self, document: Document) -> Document {
        let some = |text: String| (!text.trim().is_empty()).then_some(text);
        Document {
            title: self.subject.and_then(some),
            author: some(self.from),
            written: self.date.map(|(day, _)| day),
            ..document
        }
    }
}

/// Lines as they are written; what is quoted of earlier mails stays, marked as it is.
pub(crate) fn plain(flow: &mut Flow, text: &str, limits: &Limits) -> Result<(), ReadError> {
    for line in text.lines() {
        flow.push(line.trim_end());
        flow.end_line();
        flow.check(limits)?;
    }
    Ok(())
}

fn day_and_time(date: &DateTime) -> (String, String) {
    let day = format!("{:04}-{:02}-{:02}", date.year, date.month, date.day);
    (day, format!("{:02}:{:02}", date.hour, date.minute))
}

/// Day and time of seconds since 1970, in UTC.
pub(crate) fn date_of_seconds(seconds: i64) -> (String, String) {
    day_and_time(&DateTime::from_timestamp(seconds))
}

/// Day and time that the head of a mail tells.
pub(crate) fn date_of_headers(headers: &str) -> Option<(String, String)> {
    MessageParser::default().parse_headers(headers.as_bytes())?.date().map(day_and_time)
}

fn people(address: &Address<'_>) -> String {
    let one = |person: &mail_parser::Addr<'_>| match (&person.name, &person.address) {
        (Some(name), Some(address)) if name != address => format!("{name} <{address}>"),
        (Some(either), _) | (None, Some(either)) => either.to_string(),
        (None, None) => String::new(),
    };
    address.iter().map(one).filter(|person| !person.is_empty()).collect::<Vec<_>>().join(", ")
}

fn nested<'a>(part: &'a MessagePart<'a>) -> Option<&'a Message<'a>> {
    match &part.body {
        PartType::Message(message) => Some(message),
        _ => None,
    }
}

/// A nested mail as it stands in the file around it, anything else decoded.
fn content(message: &Message<'_>, part: &MessagePart<'_>) -> Vec<u8> {
    match &part.body {
        PartType::Message(nested)
            if !nested.raw_message.is_empty() && nested.raw_message.len() < message.raw_message.len() =>
        {
            nested.raw_message.to_vec()
        }
        PartType::Message(_) => {
            let raw = part.offset_body as usize..part.offset_end as usize;
            message.raw_message.get(raw).unwrap_or_default().to_vec()
        }
        PartType::Text(text) | PartType::Html(text) => text.as_bytes().to_vec(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.to_vec(),
        PartType::Multipart(_) => Vec::new(),
    }
}

/// Logos and smileys of the body: a reader does not see them as attachments.
fn is_decoration(part: &MessagePart<'_>) -> bool {
    let is_picture = part.content_type().is_some_and(|kind| kind.ctype().eq_ignore_ascii_case("image"));
    let is_shown_inside =
        part.content_disposition().is_none_or(|shown| !shown.ctype().eq_ignore_ascii_case("attachment"));
    is_picture && is_shown_inside && part.content_id().is_some()
}

fn is_sealed(part: &MessagePart<'_>) -> bool {
    let is = |kind: &str, subtype: &str| part.is_content_type(kind, subtype);
    is("application", "pkcs7-mime") || is("application", "x-pkcs7-mime") || is("application", "pgp-encrypted")
}

/// For attachments without a name.
fn extension(part: &MessagePart<'_>) -> &'static str {
    if nested(part).is_some() {
        return "eml";
    }
    let Some(kind) = part.content_type() else { return "txt" };
    match (kind.ctype(), kind.subtype().unwrap_or_default()) {
        ("application", "pdf") => "pdf",
        ("text", "html") => "html",
        ("text", "csv") => "csv",
        ("text", _) => "txt",
        ("application", "rtf") => "rtf",
        ("message", _) => "eml",
        ("image", "png") => "png",
        ("image", "jpeg") => "jpg",
        ("image", "tiff") => "tiff",
        _ => "bin",
    }
}
