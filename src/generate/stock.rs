//! candle-transformers' own models, for architectures that our forward pass does not know.
//! Slower and with faults of their own: long-context scaling of Llama 3.1 is ignored, the window ends at 4,096 tokens,
//! and each distinct prompt length leaves a mask of some megabytes behind.

use candle_core::{Device, Tensor};
use candle_transformers::models::{
    quantized_gemma3, quantized_llama, quantized_phi3, quantized_qwen2, quantized_qwen3,
};

use super::GenerateError;
use super::buffers::Buffer;
use super::cache::Memory;
use super::gguf::GgufFile;
use super::session::{Network, Part};

/// The longest window of these models, whatever the file says.
pub(super) const CONTEXT_TOKENS: usize = 4096;

/// Loads the weights into candle's model of that architecture.
pub(super) fn load(file: GgufFile, architecture: &str) -> Result<Box<dyn Network>, GenerateError> {
    let GgufFile { content, mut reader, .. } = file;
    let (reader, device) = (&mut reader, &Device::Cpu);
    let model = match architecture {
        "llama" => Model::Llama(quantized_llama::ModelWeights::from_gguf(content, reader, device)?),
        "qwen2" => Model::Qwen2(quantized_qwen2::ModelWeights::from_gguf(content, reader, device)?),
        "qwen3" => Model::Qwen3(quantized_qwen3::ModelWeights::from_gguf(content, reader, device)?),
        "gemma3" => Model::Gemma3(quantized_gemma3::ModelWeights::from_gguf(content, reader, device)?),
        "phi3" => Model::Phi3(quantized_phi3::ModelWeights::from_gguf(false, content, reader, device)?),
        other => {
            return Err(GenerateError::UnknownArchitecture { architecture: other.to_owned() });
        }
    };
    Ok(Box::new(Stock { model }))
}

struct Stock {
    model: Model,
}

enum Model {
    Llama(quantized_llama::ModelWeights),
    Qwen2(quantized_qwen2::ModelWeights),
    Qwen3(quantized_qwen3::ModelWeights),
    Gemma3(quantized_gemma3::ModelWeights),
    Phi3(quantized_phi3::ModelWeights),
}

impl Network for Stock {
    fn memory(&self) -> Memory {
        Memory::default()
    }

    fn read(&mut self, parts: &mut [Part<'_>]) -> Result<Buffer, GenerateError> {
        let [part] = parts else { unreachable!("there is one conversation at a time") };
        if part.scored <= 1 {
            return Ok(self.read_block(part.memory, part.tokens)?.into());
        }
        // These models give the scores of the last token alone.
        let (first, scored) = part.tokens.split_at(part.tokens.len() - part.scored);
        if !first.is_empty() {
            self.read_block(part.memory, first)?;
        }
        let each = scored.iter().map(|token| self.read_block(part.memory, &[*token]));
        each.collect::<Result<Vec<_>, _>>().map(|scores| scores.concat().into())
    }

    fn truncate(&mut self, memory: &mut Memory, tokens: usize) {
        if tokens == memory.tokens() {
            return;
        }
        // candle's caches can only be emptied. Gemma and Phi empty theirs when they read position 0.
        match &mut self.model {
            Model::Llama(model) => model.clear_kv_cache(),
            Model::Qwen2(model) => model.clear_kv_cache(),
            Model::Qwen3(model) => model.clear_kv_cache(),
            Model::Gemma3(_) | Model::Phi3(_) => {}
        }
        memory.truncate(0);
    }

    fn block_tokens(&self) -> usize {
        match self.model {
            // Its mask is right only when the whole prompt is read at once.
            Model::Gemma3(_) => usize::MAX,
            _ => 512,
        }
    }

    fn conversations(&self) -> usize {
        1
    }
}

impl Stock {
    fn read_block(&mut self, memory: &mut Memory, tokens: &[u32]) -> Result<Vec<f32>, GenerateError> {
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let position = memory.tokens();
        let scores = match &mut self.model {
            Model::Llama(model) => model.forward(&input, position),
            Model::Qwen2(model) => model.forward(&input, position),
            Model::Qwen3(model) => model.forward(&input, position),
            Model::Gemma3(model) => model.forward(&input, position),
            Model::Phi3(model) => model.forward(&input, position),
        }?;
        memory.grew(tokens.len());
        Ok(scores.flatten_all()?.to_vec1()?)
    }
}
