//! Generation as a whole, on the small real model that `make test` fetches and on tiny made-up ones.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::*;

/// `SmolLM2` 135M, from the folder that `make test` names.
pub(super) fn test_model() -> PathBuf {
    let folder = std::env::var_os("PREMISE_MODELS_DIR")
        .expect("PREMISE_MODELS_DIR must name the folder with the test models; `make test` fetches them and sets it");
    PathBuf::from(folder).join("SmolLM2-135M-Instruct.Q4_1.gguf")
}

fn open_test_model(int8_prefill: bool, engine: Engine) -> Box<dyn Generator> {
    let settings = EngineSettings { int8_prefill: Some(int8_prefill), engine, ..EngineSettings::default() };
    open(&test_model(), &settings).unwrap()
}

fn user(content: &str) -> Vec<Message> {
    vec![Message::new(Role::User, content)]
}

fn at_most(max_tokens: usize) -> GenerateOptions {
    GenerateOptions { max_tokens, ..GenerateOptions::default() }
}

fn answer(model: &mut dyn Generator, messages: &[Message], options: &GenerateOptions) -> Generated {
    let mut pieces = String::new();
    let generated = model.generate(messages, options, &mut |progress| {
        if let Progress::Piece(piece) = progress {
            pieces.push_str(piece);
        }
        ControlFlow::Continue(())
    });
    let generated = generated.unwrap();
    assert_eq!(pieces, generated.text);
    generated
}

/// A made-up model of one or two layers, its weights small noise.
struct Tiny {
    metadata: Vec<(String, Value)>,
    tensors: Vec<(String, QTensor)>,
}

const TINY_WIDTH: usize = 64;
const TINY_WORDS: usize = 96;

impl Tiny {
    fn new(architecture: &str) -> Self {
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

        tiny.noise("token_embd.weight", &[TINY_WORDS, TINY_WIDTH]);
        tiny.noise("output_norm.weight", &[TINY_WIDTH]);
        for layer in 0..2 {
            for (name, shape) in [
                ("attn_norm.weight", &[TINY_WIDTH][..]),
                ("attn_q.weight", &[64, TINY_WIDTH]),
                ("attn_k.weight", &[32, TINY_WIDTH]),
                ("attn_v.weight", &[32, TINY_WIDTH]),
                ("attn_output.weight", &[TINY_WIDTH, 64]),
                ("ffn_norm.weight", &[TINY_WIDTH]),
                ("ffn_gate.weight", &[128, TINY_WIDTH]),
                ("ffn_up.weight", &[128, TINY_WIDTH]),
                ("ffn_down.weight", &[TINY_WIDTH, 128]),
            ] {
                tiny.noise(&format!("blk.{layer}.{name}"), shape);
            }
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

    fn set(&mut self, key: &str, value: Value) {
        self.metadata.retain(|(known, _)| known != key);
        self.metadata.push((key.to_owned(), value));
    }

    fn noise(&mut self, name: &str, shape: &[usize]) {
        let seed = name.bytes().fold(17usize, |seed, byte| seed * 31 % 99_991 + usize::from(byte));
        let value = |at: usize| ((at * 7919 + seed * 104_729 + at / 89) % 2003) as f32 / 1001.0 - 1.0;
        self.tensor(name, shape, (0..shape.iter().product()).map(|at| value(at) * 0.3).collect());
    }

    fn tensor(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        self.tensors.push((name.to_owned(), QTensor::quantize(&tensor, GgmlDType::F32).unwrap()));
    }

    fn write(&self) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let metadata: Vec<_> = self.metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors: Vec<_> = self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
        file
    }

    fn network(&self, engine: Engine) -> Box<dyn Network> {
        let written = self.write();
        let mut file = GgufFile::open(written.path()).unwrap();
        let architecture = file.architecture().unwrap();
        match engine {
            Engine::Auto => {
                assert!(forward::supports(&file, &architecture));
                Box::new(forward::Transformer::load(&mut file, &architecture, Some(false)).unwrap())
            }
            Engine::Candle => stock::load(file, &architecture).unwrap(),
        }
    }
}

fn assert_close(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let worst = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let size = wanted.iter().map(|x| x.abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4 * size, "{what}: off by {worst} of {size}");
}

/// Our forward pass gives candle's scores, for a prompt in blocks and for the tokens after it.
fn check_own_is_candles(architecture: &str) {
    let tiny = Tiny::new(architecture);
    let (mut own, mut candle) = (tiny.network(Engine::Auto), tiny.network(Engine::Candle));
    let tokens: Vec<u32> = (0..30).map(|at| at * 37 % 90).collect();
    let wanted = candle.read(&tokens, 0, true).unwrap();
    assert_close(&own.read(&tokens, 0, true).unwrap(), &wanted, "prompt at once");
    for position in 30..33 {
        let wanted = candle.read(&[7], position, true).unwrap();
        assert_close(&own.read(&[7], position, true).unwrap(), &wanted, "one token more");
    }
    assert_eq!(own.keep(11), 11);
    assert!(own.read(&tokens[11..20], 11, false).unwrap().is_empty());
    assert_close(&own.read(&tokens[20..], 20, true).unwrap(), &wanted, "prompt in blocks, its beginning kept");
}

#[test]
fn our_llama_gives_candles_scores() {
    check_own_is_candles("llama");
}

#[test]
fn our_qwen2_gives_candles_scores() {
    check_own_is_candles("qwen2");
}

#[test]
fn our_qwen3_gives_candles_scores() {
    check_own_is_candles("qwen3");
}

/// Llama 3.1's long-context factors slow a rotation down: a factor of 2 is half the position.
#[test]
fn rope_factors_of_the_file_count() {
    let tokens: Vec<u32> = (0..20).collect();
    let scores = |factors: Option<f32>| {
        let mut tiny = Tiny::new("llama");
        if let Some(factor) = factors {
            tiny.tensor("rope_freqs.weight", &[8], vec![factor; 8]);
        }
        tiny.network(Engine::Auto).read(&tokens, 0, true).unwrap()
    };
    let mut linear = Tiny::new("llama");
    linear.set("llama.rope.scaling.type", Value::String("linear".to_owned()));
    linear.set("llama.rope.scaling.factor", Value::F32(8.0));
    let linear = linear.network(Engine::Auto).read(&tokens, 0, true).unwrap();
    assert_close(&scores(Some(1.0)), &scores(None), "factors of one");
    assert_close(&scores(Some(8.0)), &linear, "factors of eight");
    assert_ne!(scores(Some(8.0)), scores(None));
}
