//! A GGUF file: its metadata, and checks that say plainly what is wrong with a file before any weight is read.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use sha2::{Digest as _, Sha256};

use super::GenerateError;
use super::packfile::hex;

/// An open model file, positioned anywhere.
pub(super) struct GgufFile {
    path: PathBuf,
    pub(super) content: Content,
    pub(super) reader: BufReader<File>,
}

impl GgufFile {
    /// Opens `path`, reads its metadata, and checks that every tensor lies inside the file.
    pub(super) fn open(path: &Path) -> Result<Self, GenerateError> {
        let unreadable = |source| GenerateError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let size_bytes = file.metadata().map_err(unreadable)?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut magic = [0; 4];
        if reader.read_exact(&mut magic).is_err() || &magic != b"GGUF" {
            return Err(GenerateError::NotGguf { path: path.to_owned() });
        }
        reader.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let damaged = |problem| GenerateError::Damaged { path: path.to_owned(), problem };
        let content = Content::read(&mut reader).map_err(|error| damaged(first_line(&error)))?;
        let end_bytes = content.tensor_infos.values().map(|tensor| {
            let blocks = tensor.shape.elem_count() / tensor.ggml_dtype.block_size();
            let size = blocks.saturating_mul(tensor.ggml_dtype.type_size()) as u64;
            content.tensor_data_offset.saturating_add(tensor.offset).saturating_add(size)
        });
        let end_bytes = end_bytes.max().unwrap_or(0);
        if end_bytes > size_bytes {
            return Err(damaged(format!("it should hold {end_bytes} bytes and has {size_bytes}")));
        }
        let file = Self { path: path.to_owned(), content, reader };
        if let Some(parts) = file.number("split.count").filter(|parts| *parts > 1) {
            return Err(damaged(format!("it is one of {parts} parts; join them into one file first")));
        }
        Ok(file)
    }

    /// A whole number under `key`.
    pub(super) fn number(&self, key: &str) -> Option<usize> {
        match self.content.metadata.get(key)? {
            Value::I8(n) => usize::try_from(*n).ok(),
            Value::I16(n) => usize::try_from(*n).ok(),
            Value::I32(n) => usize::try_from(*n).ok(),
            Value::I64(n) => usize::try_from(*n).ok(),
            Value::U16(n) => Some(usize::from(*n)),
            Value::U32(n) => usize::try_from(*n).ok(),
            value => value.to_u64().ok().and_then(|n| usize::try_from(n).ok()),
        }
    }

    /// A real number under `key`.
    pub(super) fn real(&self, key: &str) -> Option<f32> {
        match self.content.metadata.get(key)? {
            Value::F64(x) => Some(*x as f32),
            value => value.to_f32().ok(),
        }
    }

    /// A yes or no under `key`.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.content.metadata.get(key)?.to_bool().ok()
    }

    /// A string under `key`.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.content.metadata.get(key)?.to_string().ok().map(String::as_str)
    }

    /// The array under `key`; empty when there is none.
    pub(super) fn array(&self, key: &str) -> &[Value] {
        match self.content.metadata.get(key) {
            Some(Value::Array(values)) => values,
            _ => &[],
        }
    }

    /// What the file says it is, such as `llama`.
    pub(super) fn architecture(&self) -> Result<String, GenerateError> {
        self.text("general.architecture")
            .map(str::to_owned)
            .ok_or_else(|| self.damaged("it does not name its architecture"))
    }

    /// The model's name, or the file's.
    pub(super) fn name(&self) -> String {
        let stem = || self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.text("general.name").map(str::to_owned).or_else(stem).unwrap_or_default()
    }

    /// The longest window that the model was made for.
    pub(super) fn context_tokens(&self, architecture: &str) -> usize {
        self.number(&format!("{architecture}.context_length")).unwrap_or(2048)
    }

    /// Whether the file has a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// Reads one tensor.
    pub(super) fn tensor(&mut self, name: &str) -> Result<QTensor, GenerateError> {
        if !self.has(name) {
            return Err(self.damaged(&format!("tensor {name} is missing")));
        }
        Ok(self.content.tensor(&mut self.reader, name, &Device::Cpu)?)
    }

    /// Reads the bytes of one matrix, with its kind, outputs and inputs.
    pub(super) fn matrix(&mut self, name: &str) -> Result<(GgmlDType, usize, usize, Vec<u8>), GenerateError> {
        let (kind, shape, offset) = self.place(name)?;
        let (outputs, inputs) = shape;
        let mut bytes = vec![0; outputs * inputs / kind.block_size() * kind.type_size()];
        self.reader.seek(SeekFrom::Start(offset)).map_err(|source| self.unreadable(source))?;
        self.reader.read_exact(&mut bytes).map_err(|source| self.unreadable(source))?;
        Ok((kind, outputs, inputs, bytes))
    }

    /// A matrix of which only some rows are wanted at a time, such as the one that tokens are looked up in.
    pub(super) fn rows(&self, name: &str) -> Result<Rows, GenerateError> {
        let (kind, (count, length), offset) = self.place(name)?;
        let file = self.reader.get_ref().try_clone().map_err(|source| self.unreadable(source))?;
        Ok(Rows { file, kind, count, length, offset })
    }

    /// Kind, outputs and inputs, and place in the file of a matrix.
    fn place(&self, name: &str) -> Result<(GgmlDType, (usize, usize), u64), GenerateError> {
        let Some(tensor) = self.content.tensor_infos.get(name) else {
            return Err(self.damaged(&format!("tensor {name} is missing")));
        };
        let shape = tensor.shape.dims2()?;
        if !shape.1.is_multiple_of(tensor.ggml_dtype.block_size()) {
            return Err(self.damaged(&format!("the rows of tensor {name} are no whole blocks")));
        }
        Ok((tensor.ggml_dtype, shape, self.content.tensor_data_offset + tensor.offset))
    }

    /// Tells this file from any other without reading its weights: by `sha256` when the caller verified that, else by
    /// size and time of change; and by everything that stands before the weights.
    pub(super) fn fingerprint(&mut self, sha256: Option<&str>) -> Result<String, GenerateError> {
        let metadata = self.reader.get_ref().metadata().map_err(|source| self.unreadable(source))?;
        let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.filter(|_| sha256.is_none()).map(|time| time.as_nanos());
        let mut header = vec![0; self.content.tensor_data_offset as usize];
        self.reader.seek(SeekFrom::Start(0)).map_err(|source| self.unreadable(source))?;
        self.reader.read_exact(&mut header).map_err(|source| self.unreadable(source))?;
        let whole = format!("{sha256:?} {} {changed:?} {}", metadata.len(), hex(&Sha256::digest(&header)));
        Ok(hex(&Sha256::digest(whole)))
    }

    fn unreadable(&self, source: std::io::Error) -> GenerateError {
        GenerateError::Unreadable { path: self.path.clone(), source }
    }

    /// Reads one small tensor as plain numbers.
    pub(super) fn vector(&mut self, name: &str) -> Result<Vec<f32>, GenerateError> {
        Ok(self.tensor(name)?.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }

    /// This file is damaged in the way that `problem` says.
    pub(super) fn damaged(&self, problem: &str) -> GenerateError {
        GenerateError::Damaged { path: self.path.clone(), problem: problem.to_owned() }
    }
}

/// A matrix that stays in the file, read row by row.
pub(super) struct Rows {
    file: File,
    kind: GgmlDType,
    count: usize,
    length: usize,
    offset: u64,
}

impl Rows {
    /// The rows of `ids`, one after another, as plain numbers.
    pub(super) fn read(&mut self, ids: &[u32]) -> Result<Vec<f32>, GenerateError> {
        let row_bytes = self.length / self.kind.block_size() * self.kind.type_size();
        let mut bytes = vec![0; ids.len() * row_bytes];
        for (id, row) in ids.iter().zip(bytes.chunks_exact_mut(row_bytes)) {
            if *id as usize >= self.count {
                return Err(candle_core::Error::Msg(format!("token {id} of {}", self.count)).into());
            }
            let at = self.offset + u64::from(*id) * row_bytes as u64;
            self.file.seek(SeekFrom::Start(at)).map_err(candle_core::Error::from)?;
            self.file.read_exact(row).map_err(candle_core::Error::from)?;
        }
        let storage = QStorage::from_data(bytes.into(), &Device::Cpu, self.kind)?;
        let rows = QTensor::new(storage, (ids.len(), self.length))?;
        Ok(rows.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }

    /// Numbers in a row.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

/// candle's errors may carry a backtrace below their first line.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
