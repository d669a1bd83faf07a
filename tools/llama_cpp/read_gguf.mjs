// Reads a GGUF file with llama.cpp. Questions come as JSON on standard input, answers go to standard output.
//
// {"file": PATH, "context": 64, "prompts": ["…"], "num_tokens": 20, "add_start": false} gives for each prompt the token ids that
// llama.cpp makes of it, the ids that it writes greedily until it ends the text, the prompt
// as it reads it back from its ids, and the log-probability of each token after the prompt.

import { text } from "node:stream/consumers";
import { getLlama } from "node-llama-cpp";

const question = JSON.parse(await text(process.stdin));
const llama = await getLlama({ gpu: false, build: "never", logLevel: "error", maxThreads: 1 });
const model = await llama.loadModel({ modelPath: question.file, gpuLayers: 0, defaultContextFlashAttention: false });
const context = await model.createContext({
  contextSize: question.context, threads: 1, flashAttention: false,
  experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32",
});
const sequence = context.getSequence();
const answers = [];
for (const prompt of question.prompts) {
  await sequence.clearHistory();
  const ids = model.tokenize(prompt, false);
  if (question.add_start && model.tokens.shouldPrependBosToken) ids.unshift(model.tokens.bos);
  const written = [];
  let logProbabilities = null;
  const options = { temperature: 0, repeatPenalty: false, yieldEogToken: true };
  for await (const step of sequence.evaluateWithMetadata(ids, { probabilities: true }, options)) {
    if (logProbabilities == null) {
      logProbabilities = [...step.probabilities].map(([id, probability]) => [id, Math.log(probability)]);
    }
    written.push(step.token);
    if (written.length === question.num_tokens || model.isEogToken(step.token)) break;
  }
  answers.push({ ids, written, read_back: model.detokenize(ids), log_probabilities: logProbabilities });
}
process.stdout.write(JSON.stringify({ release: llama.llamaCppRelease.release, answers }));
process.exit(0);
