//! Slides: each is a page, with its title as a heading and what its speaker noted at the end.

use crate::archive::Archive;
use crate::flow::Flow;
use crate::properties::Properties;
use crate::xml::{Piece, walk};
use crate::{Document, Limits, MediaType, ReadError};

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Document, ReadError> {
    let mut archive = Archive::open(bytes, MediaType::Pptx, limits)?;
    let order =
        archive.text("ppt/presentation.xml")?.ok_or(ReadError::NotWhatItSays { named: MediaType::Pptx.name() })?;
    let links = archive.links("ppt/presentation.xml")?;
    let mut flow = Flow::default();
    let slides = slides_in_order(&order, &links)?;
    Limits::check("pages", slides.len(), limits.max_pages)?;
    let mut problems = Vec::new();
    for (number, slide) in (1..).zip(&slides) {
        if number > 1 {
            flow.end_counted_page();
        }
        if let Err(problem) = add_slide(&mut archive, slide, &mut flow, limits)? {
            problems.push(crate::Problem::on_page(number, problem));
        }
    }
    let document = Document { problems, ..flow.document(MediaType::Pptx, limits)? };
    Ok(Properties::of(&mut archive)?.apply(document))
}

/// The slides' parts as they are shown; their file names are numbered as they were made.
fn slides_in_order(presentation: &str, links: &[(String, String)]) -> Result<Vec<String>, ReadError> {
    let mut slides = Vec::new();
    walk("ppt/presentation.xml", presentation, |piece| {
        if let Piece::Start("sldId", element) = piece {
            // `id` is also the name of an attribute without a prefix: the link's is the one that leads somewhere.
            let ids = element.attributes("id");
            slides.extend(links.iter().find(|(id, _)| ids.contains(id)).map(|(_, part)| part.clone()));
        }
        Ok(())
    })?;
    Ok(slides)
}

/// Adds a slide and its notes. The inner error is this slide's, the outer one the whole file's.
fn add_slide(
    archive: &mut Archive<'_>,
    part: &str,
    flow: &mut Flow,
    limits: &Limits,
) -> Result<Result<(), String>, ReadError> {
    let Some(xml) = archive.text(part)? else { return Ok(Err(format!("{part} is missing"))) };
    let links = archive.links(part)?;
    let mut shapes = Shapes { flow, is_title: false, in_text: false, in_field: false };
    let mut outcome = walk(part, &xml, |piece| shapes.take(piece, limits));
    for (_, notes) in links.iter().filter(|(_, target)| target.contains("/notesSlides/")) {
        if let (Ok(()), Some(xml)) = (&outcome, archive.text(notes)?) {
            flow.end_paragraph();
            let mut shapes = Shapes { flow, is_title: false, in_text: false, in_field: false };
            outcome = walk(notes, &xml, |piece| shapes.take(piece, limits));
        }
    }
    match outcome {
        Err(ReadError::Damaged(reason)) => Ok(Err(reason)),
        other => other.map(Ok),
    }
}

struct Shapes<'a> {
    flow: &'a mut Flow,
    /// Within the slide's title.
    is_title: bool,
    in_text: bool,
    /// A slide's number, or the date.
    in_field: bool,
}

impl Shapes<'_> {
    fn take(&mut self, piece: Piece<'_>, limits: &Limits) -> Result<(), ReadError> {
        match piece {
            Piece::Start("sp", _) => self.is_title = false,
            Piece::Start("ph", element) => {
                let kind = element.attribute("type");
                self.is_title = matches!(kind.as_deref(), Some("title" | "ctrTitle"));
                self.in_field = matches!(kind.as_deref(), Some("sldNum" | "dt" | "ftr" | "hdr"));
            }
            Piece::End("sp") => {
                self.flow.end_paragraph();
                self.in_field = false;
            }
            Piece::Start("t", _) => self.in_text = true,
            Piece::End("t") => self.in_text = false,
            Piece::Start("tbl", _) => self.flow.start_table(),
            Piece::Start("tr", _) => self.flow.start_row(),
            Piece::End("tr") => self.flow.end_row(),
            Piece::Start("tc", _) => self.flow.start_cell(),
            Piece::End("tbl") => self.flow.end_table(),
            Piece::End("p") if self.is_title && !self.flow.current_line().is_empty() => self.flow.end_heading(1),
            Piece::Start("br", _) | Piece::End("p") => self.flow.end_line(),
            Piece::Text(text) if self.in_text && !self.in_field => {
                self.flow.push(text);
                self.flow.check(limits)?;
            }
            _ => {}
        }
        Ok(())
    }
}
