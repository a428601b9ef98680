//! Made-up models: small, of any shape, their weights noise.

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::super::session::Network;
use super::super::*;

/// A made-up model of one or two layers, its weights small noise.
pub(super) struct Tiny {
    pub(super) metadata: Vec<(String, Value)>,
    pub(super) tensors: Vec<(String, QTensor)>,
}

pub(super) const TINY_WIDTH: usize = 64;
pub(super) const TINY_WORDS: usize = 96;

impl Tiny {
    pub(super) fn new(architecture: &str) -> Self {
        let mut tiny = Self { metadata: Vec::new(), tensors: Vec::new() };
        tiny.set("general.architecture", Value::String(architecture.to_owned()));
        for (key, number) in [
            ("block_count", 2),
            ("context_length", 512),
            ("embedding_length", TINY_WIDTH as u32),
            ("feed_forward_length", 128),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
            ("attention.key_length", 16),
            ("rope.dimension_count", 16),
        ] {
            tiny.set(&format!("{architecture}.{key}"), Value::U32(number));
        }
        tiny.set(&format!("{architecture}.rope.freq_base"), Value::F32(10_000.0));
        tiny.set(&format!("{architecture}.attention.layer_norm_rms_epsilon"), Value::F32(1e-5));
        let words = (0..TINY_WORDS).map(|at| Value::String(char::from(b' ' + at as u8).to_string()));
        tiny.set("tokenizer.ggml.model", Value::String("gpt2".to_owned()));
        tiny.set("tokenizer.ggml.tokens", Value::Array(words.collect()));
        tiny.set("tokenizer.ggml.eos_token_id", Value::U32(TINY_WORDS as u32 - 1));

        tiny.weights(TINY_WORDS, 64, 32);
        for layer in 0..2 {
            let more: &[(&str, usize)] = match architecture {
                "qwen2" => &[("attn_q.bias", 64), ("attn_k.bias", 32), ("attn_v.bias", 32)],
                "qwen3" => &[("attn_q_norm.weight", 16), ("attn_k_norm.weight", 16)],
                _ => &[],
            };
            for (name, length) in more {
                tiny.noise(&format!("blk.{layer}.{name}"), &[*length]);
            }
        }
        tiny
    }

    /// Noise for two layers, whose queries and keys are so wide.
    fn weights(&mut self, words: usize, queries: usize, keys: usize) {
        self.tensors.clear();
        self.noise("token_embd.weight", &[words, TINY_WIDTH]);
        self.noise("output_norm.weight", &[TINY_WIDTH]);
        for layer in 0..2 {
            for (name, shape) in [
                ("attn_norm.weight", &[TINY_WIDTH][..]),
                ("attn_q.weight", &[queries, TINY_WIDTH]),
                ("attn_k.weight", &[keys, TINY_WIDTH]),
                ("attn_v.weight", &[keys, TINY_WIDTH]),
                ("attn_output.weight", &[TINY_WIDTH, queries]),
                ("ffn_norm.weight", &[TINY_WIDTH]),
                ("ffn_gate.weight", &[128, TINY_WIDTH]),
                ("ffn_up.weight", &[128, TINY_WIDTH]),
                ("ffn_down.weight", &[TINY_WIDTH, 128]),
            ] {
                self.noise(&format!("blk.{layer}.{name}"), shape);
            }
        }
    }

    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.metadata.retain(|(known, _)| known != key);
        self.metadata.push((key.to_owned(), value));
    }

    pub(super) fn noise(&mut self, name: &str, shape: &[usize]) {
        let seed = name.bytes().fold(17usize, |seed, byte| seed * 31 % 99_991 + usize::from(byte));
        let value = |at: usize| ((at * 7919 + seed * 104_729 + at / 89) % 2003) as f32 / 1001.0 - 1.0;
        self.tensor(name, shape, (0..shape.iter().product()).map(|at| value(at) * 0.3).collect());
    }

    pub(super) fn tensor(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        self.tensors.push((name.to_owned(), QTensor::quantize(&tensor, GgmlDType::F32).unwrap()));
    }

    pub(super) fn write(&self) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let metadata: Vec<_> = self.metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors: Vec<_> = self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
        file
    }

    pub(super) fn network(&self, engine: Engine) -> Box<dyn Network> {
        let written = self.write();
        let mut file = GgufFile::open(written.path()).unwrap();
        let architecture = file.architecture().unwrap();
        match engine {
            Engine::Auto => {
                assert!(forward::supports(&file, &architecture));
                Box::new(forward::Transformer::load(&mut file, &architecture, None).unwrap())
            }
            Engine::Candle => stock::load(file, &architecture).unwrap(),
        }
    }
}

/// A made-up model in the shape of Llama 3.2: heads of 64, a rotation of base 500,000 with factors, Llama 3's way to
/// cut texts, weights in `Q8_0`.
pub(super) fn llama_3_2_shaped() -> Tiny {
    let mut tiny = Tiny::new("llama");
    for (key, number) in [
        ("block_count", 2),
        ("context_length", 32_768),
        ("embedding_length", 64),
        ("feed_forward_length", 128),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 1),
        ("attention.key_length", 64),
        ("attention.value_length", 64),
        ("rope.dimension_count", 64),
    ] {
        tiny.set(&format!("llama.{key}"), Value::U32(number));
    }
    tiny.set("llama.rope.freq_base", Value::F32(500_000.0));
    // Every byte has a letter, and a few pairs have one of their own.
    let mut letters: Vec<String> = ByteLevel::alphabet().into_iter().map(String::from).collect();
    letters.sort_by_key(|letter| tokenizer::bytes_of(letter));
    let pairs = ["t h", "e r", "o n", "Ġ t"];
    let special = ["<|begin_of_text|>", "<|end_of_text|>"].map(str::to_owned);
    let words: Vec<String> =
        letters.into_iter().chain(pairs.iter().map(|pair| pair.replace(' ', ""))).chain(special).collect();
    let kinds = (0..words.len()).map(|at| Value::I32(if at < 260 { 1 } else { 3 }));
    tiny.set("tokenizer.ggml.pre", Value::String("llama-bpe".to_owned()));
    tiny.set("tokenizer.ggml.token_type", Value::Array(kinds.collect()));
    tiny.set(
        "tokenizer.ggml.merges",
        Value::Array(pairs.iter().map(|pair| Value::String((*pair).to_owned())).collect()),
    );
    tiny.set("tokenizer.ggml.bos_token_id", Value::U32(260));
    tiny.set("tokenizer.ggml.eos_token_id", Value::U32(261));
    let count = words.len();
    tiny.set("tokenizer.ggml.tokens", Value::Array(words.into_iter().map(Value::String).collect()));

    tiny.weights(count, 128, 64);
    // Fast turns stay, slow ones take eight times as long, those between something between, as in Llama 3.2's files.
    let factors = (0..32).map(|pair| (1.0f32 + (pair as f32 - 14.0) / 1.5).clamp(1.0, 8.0)).collect();
    tiny.tensor("rope_freqs.weight", &[32], factors);
    for (name, tensor) in &mut tiny.tensors {
        if name.ends_with(".weight") && tensor.rank() == 2 {
            let plain = tensor.dequantize(&Device::Cpu).unwrap();
            *tensor = QTensor::quantize(&plain, GgmlDType::Q8_0).unwrap();
        }
    }
    tiny
}
