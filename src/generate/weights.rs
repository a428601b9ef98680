//! The matrices of a model: found packed beside it, packed now and kept there, or taken as they are in the file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing::{info, warn};

use super::GenerateError;
use super::gguf::GgufFile;
use super::linear::Linear;
use super::packed::Packed;
use super::packfile;

/// Where packed weights are kept, and of which file they are.
pub(super) struct Packing {
    /// The file that keeps them.
    pub(super) path: PathBuf,
    /// SHA-256 of the model file, if it was verified.
    pub(super) sha256: Option<String>,
}

/// Matrices on their way from the file to the forward pass.
pub(super) struct Weights {
    packed: HashMap<String, Packed>,
}

impl Weights {
    /// Finds or packs the matrices `names`; without `packing`, all stay as they are in the file.
    pub(super) fn open(
        file: &mut GgufFile,
        names: &[String],
        packing: Option<&Packing>,
    ) -> Result<Self, GenerateError> {
        let Some(packing) = packing else { return Ok(Self { packed: HashMap::new() }) };
        let identity = file.fingerprint(packing.sha256.as_deref())?;
        if let Some(packed) = packfile::open(&packing.path, &identity) {
            return Ok(Self { packed });
        }
        let started = Instant::now();
        info!("packing the model's weights for this CPU; later starts find them packed");
        let packed = match pack_to_file(file, names, &packing.path, &identity)? {
            Some(packed) => packed,
            None => pack_all(file, names)?,
        };
        info!(duration_ms = started.elapsed().as_millis() as u64, "packed the model's weights");
        Ok(Self { packed })
    }

    /// The matrix `name`, once.
    pub(super) fn take(&mut self, file: &mut GgufFile, name: &str) -> Result<Linear, GenerateError> {
        match self.packed.remove(name) {
            Some(packed) => Ok(Linear::Packed(packed)),
            None => Linear::as_in_file(file.tensor(name)?),
        }
    }
}

/// Packs one matrix after another into the file at `path`, so that memory holds one at a time. `None` when that folder
/// cannot be written to.
fn pack_to_file(
    file: &mut GgufFile,
    names: &[String],
    path: &Path,
    identity: &str,
) -> Result<Option<HashMap<String, Packed>>, GenerateError> {
    let unkept = |error: std::io::Error| {
        warn!(path = %path.display(), %error, "cannot keep the packed weights: every start will pack them again");
    };
    let mut writer = match packfile::Writer::create(path, identity) {
        Ok(writer) => writer,
        Err(error) => {
            unkept(error);
            return Ok(None);
        }
    };
    for name in names {
        if let Some(packed) = pack(file, name)?
            && let Err(error) = writer.add(name, &packed)
        {
            unkept(error);
            return Ok(None);
        }
    }
    if let Err(error) = writer.finish(path) {
        unkept(error);
        return Ok(None);
    }
    Ok(packfile::open(path, identity))
}

fn pack_all(file: &mut GgufFile, names: &[String]) -> Result<HashMap<String, Packed>, GenerateError> {
    let mut packed = HashMap::new();
    for name in names {
        if let Some(matrix) = pack(file, name)? {
            packed.insert(name.clone(), matrix);
        }
    }
    Ok(packed)
}

/// `None` for a matrix that the kernels cannot take.
fn pack(file: &mut GgufFile, name: &str) -> Result<Option<Packed>, GenerateError> {
    let (kind, outputs, inputs, bytes) = file.matrix(name)?;
    Packed::fits(kind, outputs, inputs).then(|| Packed::pack(kind, outputs, inputs, &bytes)).transpose()
}
