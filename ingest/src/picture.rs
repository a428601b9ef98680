//! Pictures as documents: photographs and scans of pages, one or several in a file. Only this file names `image`.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader};

use crate::{Document, Limits, MediaType, Picture, ReadError, ReadOptions, pdf};

/// Few pictures say how large the page is, and many that do are wrong: it is taken for the largest that fits on A4.
const PAGE_INCHES: [f32; 2] = [8.3, 11.7];
/// Poster scanners give as much; more is not a page.
const MOST_SIDE_PIXELS: u32 = 20_000;

/// Reads each picture of a file as a page.
pub(crate) fn read(bytes: &[u8], options: &ReadOptions) -> Result<Document, ReadError> {
    let pages = match bytes {
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] => Pages::One,
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Pages::Tiff(tiff_pages(bytes, options.limits.max_pages)),
        _ => return Err(ReadError::NotWhatItSays { named: MediaType::Picture.name() }),
    };
    let count = match &pages {
        Pages::One => 1,
        Pages::Tiff(offsets) => offsets.len(),
    };
    Limits::check("pages", count, options.limits.max_pages)?;
    let Some(recogniser) = options.recogniser else { return Err(ReadError::NeedsRecognition { pages: count }) };
    match pages {
        Pages::One => pdf::read_pictures(std::iter::once_with(|| picture(bytes)), recogniser),
        Pages::Tiff(offsets) => {
            let mut bytes = bytes.to_vec();
            let is_little = bytes[0] == b'I';
            let page = |offset: u32| {
                // The reader takes the first picture only: each becomes the first in turn.
                bytes[4..8].copy_from_slice(&if is_little { offset.to_le_bytes() } else { offset.to_be_bytes() });
                picture(&bytes)
            };
            pdf::read_pictures(offsets.into_iter().map(page), recogniser)
        }
    }
}

enum Pages {
    One,
    /// Where the list of tags of each picture begins.
    Tiff(Vec<u32>),
}

/// The lists of tags, one after another (TIFF 6.0, section 2): each has the place of the next at its end. At most one
/// more than `most`.
fn tiff_pages(bytes: &[u8], most: usize) -> Vec<u32> {
    /// A tag with its value takes so many bytes.
    const TAG_BYTES: usize = 12;
    let is_little = bytes[0] == b'I';
    let short = |at: usize| {
        let two: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(if is_little { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) })
    };
    let long = |at: usize| {
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if is_little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    };
    let mut pages = Vec::new();
    let mut next = long(4);
    // One that leads back to an earlier one would never end.
    while let Some(offset) = next.filter(|offset| *offset != 0 && !pages.contains(offset)) {
        let Some(tags) = short(offset as usize).filter(|_| pages.len() <= most) else { break };
        pages.push(offset);
        next = long(offset as usize + 2 + usize::from(tags) * TAG_BYTES);
    }
    pages
}

/// The file's first picture, upright and grey.
fn picture(bytes: &[u8]) -> Result<Picture, String> {
    let failed = |error: image::ImageError| format!("it cannot be drawn: {error}");
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_SIDE_PIXELS), Some(MOST_SIDE_PIXELS));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    image.apply_orientation(orientation);
    let grey = on_white(image);
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let [short, long] = [width.min(height), width.max(height)].map(|pixels| pixels as f32 / 72.0);
    let pixels_per_point = (short / PAGE_INCHES[0]).max(long / PAGE_INCHES[1]);
    Ok(Picture { width, height, grey: grey.into_raw(), pixels_per_point })
}

/// The picture with `factor` times as many pixels along each side.
pub(crate) fn scaled(picture: Picture, factor: f32) -> Picture {
    let side = |pixels: usize| ((pixels as f32 * factor).round() as u32).max(1);
    let (width, height) = (side(picture.width), side(picture.height));
    let pixels_per_point = picture.pixels_per_point * factor;
    let grey = image::GrayImage::from_raw(picture.width as u32, picture.height as u32, picture.grey)
        .expect("a picture has a grey value for each pixel");
    let grey = image::imageops::resize(&grey, width, height, image::imageops::FilterType::Triangle);
    Picture { width: width as usize, height: height as usize, grey: grey.into_raw(), pixels_per_point }
}

/// What shines through is paper.
fn on_white(image: DynamicImage) -> image::GrayImage {
    if !image.color().has_alpha() {
        return image.into_luma8();
    }
    let mut image = image.into_luma_alpha8();
    for pixel in image.pixels_mut() {
        let [grey, alpha] = pixel.0.map(u32::from);
        pixel.0[0] = ((grey * alpha + 255 * (255 - alpha)) / 255) as u8;
    }
    DynamicImage::from(image).into_luma8()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_look_in_another_size() {
        // Left half black, right half white.
        let grey = (0..40 * 20).map(|at| if at % 40 < 20 { 0 } else { 255 }).collect();
        let picture = Picture { width: 40, height: 20, grey, pixels_per_point: 2.0 };
        for factor in [0.25, 0.5, 1.0, 1.5, 3.0] {
            let scaled = scaled(picture.clone(), factor);
            assert_eq!((scaled.width, scaled.height), ((40.0 * factor) as usize, (20.0 * factor) as usize));
            assert!((scaled.pixels_per_point - 2.0 * factor).abs() < 1e-6);
            let middle = scaled.height / 2 * scaled.width;
            assert_eq!((scaled.grey[middle], scaled.grey[middle + scaled.width - 1]), (0, 255), "{factor}");
        }
        let point = Picture { width: 1, height: 1, grey: vec![7], pixels_per_point: 1.0 };
        assert_eq!(super::scaled(point, 3.0).grey, [7; 9]);
    }
}
