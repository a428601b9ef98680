//! Pages as grey pictures, for text recognition. Only this file names hayro.

use hayro::hayro_interpret::InterpreterSettings;
use hayro::hayro_syntax::Pdf;
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings, render};

use crate::Picture;
use crate::ocr::DPI;

/// A page so large that its picture would not fit in memory is made smaller; A0 at 200 dpi fits.
const MAX_SIDE_PIXELS: f32 = 10_000.0;

/// A file opened for drawing.
pub(super) struct Renderer {
    pdf: Pdf,
}

impl Renderer {
    /// None when the renderer cannot open the file; the reader may have repaired what it cannot.
    pub(super) fn open(bytes: &[u8], passwords: &[String]) -> Option<Self> {
        let open = |password: &str| Pdf::new_with_password(bytes.to_vec(), password).ok();
        let pdf = open("").or_else(|| passwords.iter().find_map(|password| open(password)))?;
        Some(Self { pdf })
    }

    /// A page as it is shown; `at` counts from 0.
    pub(super) fn page(&self, at: usize) -> Option<Picture> {
        let page = self.pdf.pages().get(at)?;
        let (width, height) = page.render_dimensions();
        let scale = (DPI / 72.0).min(MAX_SIDE_PIXELS / width.max(height).max(1.0));
        let settings = PixmapSettings { x_scale: scale, y_scale: scale, bg_color: WHITE };
        let cache = RenderCache::new();
        let pixmap = render(page, &cache, &InterpreterSettings::default(), &RenderSettings::default(), &settings);
        let (width, height) = (usize::from(pixmap.width()), usize::from(pixmap.height()));
        // The weights of luma in sRGB (ITU-R BT.709), in 256ths.
        let luma = |[r, g, b, _]: [u8; 4]| (54 * u32::from(r) + 183 * u32::from(g) + 19 * u32::from(b)) >> 8;
        let grey = pixmap.data_as_u8_slice().chunks_exact(4).map(|p| luma([p[0], p[1], p[2], p[3]]) as u8).collect();
        Some(Picture { width, height, grey, pixels_per_point: scale })
    }
}
