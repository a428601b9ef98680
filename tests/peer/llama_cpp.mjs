// What llama.cpp says on a model file: the numbers that our tests record come from here.
//
//   cd "$(mktemp -d)" && npm install --no-save --ignore-scripts node-llama-cpp @node-llama-cpp/linux-x64
//   cp …/tests/peer/llama_cpp.mjs . && node llama_cpp.mjs MODEL.gguf < REQUESTS.jsonl
//
// It uses the prebuilt library of the package, and neither downloads nor builds anything. One request a line, one answer
// a line, both JSON:
//   {"tokens": "text", "special": false}    -> {"ids": […]}
//   {"ids": [5, 3, …], "lengths": [100, 200]} -> [[[token, log-probability], …], …], the likeliest after so many ids
//   {"greedy": "rendered prompt", "n": 32}   -> {"prompt": […], "ids": […], "text": "…", "prefill_s": …, "decode_s": …}

import { createInterface } from "node:readline";
import { availableParallelism } from "node:os";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const threads = availableParallelism();
const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: process.argv[2], gpuLayers: 0 });
const context = await model.createContext({ contextSize: 4096, batchSize: 512, threads });
const sequence = context.getSequence();

async function greedy(text, n) {
  await sequence.clearHistory();
  const prompt = model.tokenize(text, true);
  const ids = [];
  const started = performance.now();
  let first = started;
  for await (const id of sequence.evaluate(prompt, { temperature: 0 })) {
    if (ids.length === 0) first = performance.now();
    ids.push(id);
    if (ids.length === n) break;
  }
  const seconds = (from, to) => Number(((to - from) / 1000).toFixed(3));
  const decode_s = seconds(first, performance.now());
  return { prompt, ids, text: model.detokenize(ids, true), prefill_s: seconds(started, first), decode_s };
}

async function likeliest(ids, lengths) {
  const found = [];
  for (const length of lengths) {
    const long = await model.createContext({ contextSize: length + 8, batchSize: 512, threads });
    const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
    const next = long.getSequence().evaluateWithMetadata(ids.slice(0, length), { probabilities: true }, options);
    const { probabilities } = (await next.next()).value;
    const best = [...probabilities].sort((a, b) => b[1] - a[1]).slice(0, 4);
    found.push(best.map(([token, probability]) => [token, Math.log(probability)]));
    await long.dispose();
  }
  return found;
}

async function answer(request) {
  if (request.ids !== undefined) return likeliest(request.ids, request.lengths);
  if (request.tokens !== undefined) return { ids: model.tokenize(request.tokens, request.special ?? false) };
  return greedy(request.greedy, request.n ?? 32);
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === "") continue;
  const request = JSON.parse(line);
  console.log(JSON.stringify(await answer(request)));
}
await llama.dispose();
