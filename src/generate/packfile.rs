//! The file that keeps packed weights beside their model, so that only the first start packs them. It is mapped, not
//! read: the pages are shared by all processes and given back when memory is short.
//!
//! Matrices come first, each at a multiple of 64 bytes; then a directory in JSON; then its length, its SHA-256 and a
//! mark. A file of another model or version, one that was cut off, or one with a wrong byte is packed anew.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::levels::Grid;
use super::packed::{Bytes, Packed};
use super::parallel;

/// Raised whenever the same weights would be packed otherwise.
const VERSION: u32 = 3;
const MARK: &[u8; 8] = b"PREMPACK";
/// Length of the directory, its SHA-256, the mark.
const TRAILER: usize = 8 + 32 + 8;
/// Cache lines are this long.
const ALIGNMENT: usize = 64;

#[derive(Serialize, Deserialize)]
struct Directory {
    version: u32,
    /// Of the model that was packed.
    identity: String,
    matrices: Vec<Matrix>,
}

#[derive(Serialize, Deserialize)]
struct Matrix {
    name: String,
    outputs: usize,
    inputs: usize,
    bits: usize,
    scales: usize,
    has_least: bool,
    zero: u8,
    span: usize,
    /// Bits of a float, for JSON may round it.
    factor: u32,
    offset: usize,
    length: usize,
    sha256: String,
}

/// The packed weights of the model `identity`, by name; `None` when there are none at `path` that can be trusted.
/// Reads all of them once, on all cores: .3 s for 1.1 GB that the system has in memory.
pub(super) fn open(path: &Path, identity: &str) -> Option<HashMap<String, Packed>> {
    let file = File::open(path).ok()?;
    // SAFETY: the file got its name when it was complete, and this program never writes to it again. If another does,
    // the weights are wrong numbers, which no code here trusts to be of any kind.
    let map = Arc::new(unsafe { Mmap::map(&file) }.ok()?);
    let directory = directory(&map).filter(|it| it.version == VERSION && it.identity == identity)?;

    let mut intact = vec![false; directory.matrices.len()];
    parallel::each(intact.iter_mut().zip(&directory.matrices).collect(), |(intact, matrix)| {
        let bytes = matrix.offset.checked_add(matrix.length).and_then(|end| map.get(matrix.offset..end));
        **intact = bytes.is_some_and(|bytes| hex(&Sha256::digest(bytes)) == matrix.sha256);
    });
    if !intact.iter().all(|intact| *intact) {
        return None;
    }
    let packed = directory.matrices.into_iter().map(|it| {
        let grid = Grid { bits: it.bits, scales: it.scales, has_least: it.has_least, zero: it.zero, span: it.span };
        let bytes = Bytes::Mapped(map.clone(), it.offset..it.offset + it.length);
        Packed::new(it.outputs, it.inputs, grid, f32::from_bits(it.factor), bytes).map(|packed| (it.name, packed))
    });
    packed.collect()
}

fn directory(map: &[u8]) -> Option<Directory> {
    let (rest, trailer) = map.split_at_checked(map.len().checked_sub(TRAILER)?)?;
    let (length, trailer) = trailer.split_first_chunk::<8>()?;
    let (sha256, mark) = trailer.split_at_checked(32)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let json = rest.get(rest.len().checked_sub(length)?..)?;
    (mark == MARK && Sha256::digest(json)[..] == *sha256).then_some(())?;
    serde_json::from_slice(json).ok()
}

/// A file that is being written, under another name until it is complete.
pub(super) struct Writer {
    file: BufWriter<NamedTempFile>,
    offset: usize,
    directory: Directory,
}

impl Writer {
    /// Begins the file that [`Self::finish`] puts at `path`.
    pub(super) fn create(path: &Path, identity: &str) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".packing-").tempfile_in(folder)?;
        let directory = Directory { version: VERSION, identity: identity.to_owned(), matrices: Vec::new() };
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), offset: 0, directory })
    }

    /// Adds a matrix.
    pub(super) fn add(&mut self, name: &str, packed: &Packed) -> io::Result<()> {
        let gap = self.offset.next_multiple_of(ALIGNMENT) - self.offset;
        self.file.write_all(&[0; ALIGNMENT][..gap])?;
        self.offset += gap;
        let bytes = packed.bytes();
        self.file.write_all(bytes)?;
        let grid = packed.grid;
        self.directory.matrices.push(Matrix {
            name: name.to_owned(),
            outputs: packed.outputs,
            inputs: packed.inputs,
            bits: grid.bits,
            scales: grid.scales,
            has_least: grid.has_least,
            zero: grid.zero,
            span: grid.span,
            factor: packed.factor.to_bits(),
            offset: self.offset,
            length: bytes.len(),
            sha256: hex(&Sha256::digest(bytes)),
        });
        self.offset += bytes.len();
        Ok(())
    }

    /// Completes the file and gives it its name, in place of an older one.
    pub(super) fn finish(mut self, path: &Path) -> io::Result<()> {
        let json = serde_json::to_vec(&self.directory)?;
        self.file.write_all(&json)?;
        self.file.write_all(&(json.len() as u64).to_le_bytes())?;
        self.file.write_all(&Sha256::digest(&json))?;
        self.file.write_all(MARK)?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // Temporary files are private; the model beside it is not.
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::GgmlDType;

    use super::*;

    fn matrix(seed: u8) -> Packed {
        let raw: Vec<u8> = (0..40 * 18).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed) & 0x3F).collect();
        Packed::pack(GgmlDType::Q4_0, 40, 32, &raw).unwrap()
    }

    fn written(path: &Path) {
        let mut writer = Writer::create(path, "model a").unwrap();
        writer.add("one", &matrix(1)).unwrap();
        writer.add("two", &matrix(2)).unwrap();
        writer.finish(path).unwrap();
    }

    #[test]
    fn what_is_written_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.packed");
        written(&path);
        let found = open(&path, "model a").unwrap();
        assert_eq!(found.len(), 2);
        for (name, seed) in [("one", 1), ("two", 2)] {
            let (found, wanted) = (&found[name], matrix(seed));
            assert_eq!((found.outputs, found.inputs, found.grid), (40, 32, wanted.grid));
            assert_eq!(found.factor.to_bits(), wanted.factor.to_bits());
            assert!(found.bytes() == wanted.bytes());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn another_model_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.packed");
        written(&path);
        assert!(open(&path, "model b").is_none());
        assert!(open(&folder.path().join("none"), "model a").is_none());
    }

    #[test]
    fn a_damaged_or_cut_off_file_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.packed");
        written(&path);
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 5, 100, whole.len() - TRAILER, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(open(&path, "model a").is_none(), "{length} bytes");
        }
        let one = matrix(1).bytes().len();
        for at in [0, one - 1, one.next_multiple_of(ALIGNMENT), whole.len() - TRAILER - 20, whole.len() - 3] {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            assert!(open(&path, "model a").is_none(), "byte {at}");
        }
    }

    #[test]
    fn a_writer_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(&folder.path().join("model.packed"), "model a").unwrap();
        writer.add("one", &matrix(1)).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
