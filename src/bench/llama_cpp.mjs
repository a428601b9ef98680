// llama.cpp from its package, asked line by line; `premise bench generate --peer` runs it in the package's folder.
// One request a line:
//   {"prompt": 512, "people": 1, "answer": 64, "seed": 0} -> [{"first_s": …, "last_s": …}, …]
//   {"tokenize": ["text", …]}                             -> [[…], …]
//   {"greedy": "rendered prompt", "answer": 32}           -> {"text": "…", "prompt_tokens": …}
// The first line that it writes tells how long the model took to open: {"load_s": …}

import { createInterface } from "node:readline";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const [modelPath, people, threads] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error });
const opened = performance.now();
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
console.log(JSON.stringify({ load_s: (performance.now() - opened) / 1000 }));
const context = await model.createContext({ contextSize: 4096, batchSize: 512, threads, sequences: people });
const sequences = Array.from({ length: people }, () => context.getSequence());

async function answer(sequence, prompt, count, started) {
  const times = { first_s: 0, last_s: 0 };
  let written = 0;
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    times.last_s = (performance.now() - started) / 1000;
    if (written++ === 0) times.first_s = times.last_s;
    if (written === count) break;
  }
  return times;
}

async function greedy(text, count) {
  await sequences[0].clearHistory();
  const prompt = model.tokenize(text, true);
  const ids = [];
  for await (const id of sequences[0].evaluate(prompt, { temperature: 0 })) {
    ids.push(id);
    if (ids.length === count) break;
  }
  return { text: model.detokenize(ids, true), prompt_tokens: prompt.length };
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.tokenize !== undefined) {
    console.log(JSON.stringify(request.tokenize.map((text) => model.tokenize(text, false))));
    continue;
  }
  if (request.greedy !== undefined) {
    console.log(JSON.stringify(await greedy(request.greedy, request.answer)));
    continue;
  }
  // Tokens of common words, in an order that no other request has.
  const prompt = (person) =>
    Array.from({ length: request.prompt }, (_, at) => 1000 + ((at * 7919 + (request.seed + person) * 104729) % 20000));
  const prompts = sequences.slice(0, request.people).map((_, person) => prompt(person));
  for (const sequence of sequences) await sequence.clearHistory();
  const started = performance.now();
  const answers = prompts.map((tokens, person) => answer(sequences[person], tokens, request.answer, started));
  console.log(JSON.stringify(await Promise.all(answers)));
}
await llama.dispose();
