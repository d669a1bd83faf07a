// The models of an improvement, one after the other: what each is, how its training goes, its result.

import { html } from "/static/vendor/preact.min.js";
import { duration, fixed, whole } from "./format.js";

const WORDS = { starting: "getting ready", running: "learning", measuring: "being measured", stopped: "unfinished" };

/** @param {{models: any[], isBusy: boolean}} props */
export function Models({ models, isBusy }) {
  const values = models.flatMap((one) => one.epochs.map((epoch) => epoch.bits_per_byte));
  const range = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const longest = Math.max(2, ...models.map((one) => one.epochs.length));
  return html`<div><h3>The models, one after the other</h3>
    <ol class="models plain">${models.map((model) => html`<${Model} key=${model.run} model=${model} range=${range} longest=${longest} isBusy=${isBusy}/>`)}</ol>
    <p class="soft small">Each line is the training of one model, pass by pass over the text. Bits per byte: lower is better. All lines have the same scale.</p></div>`;
}

/** @param {{model: any, range: number[], longest: number, isBusy: boolean}} props */
function Model({ model, range, longest, isBusy }) {
  const last = model.epochs[model.epochs.length - 1];
  const value = model.bits_per_byte ?? (last && last.bits_per_byte);
  return html`<li class=${model.is_best ? "model best" : "model"}>
    <div><p><strong>${model.name}</strong>${model.is_best && html` <span class="tag">${isBusy ? "best so far" : "the best"}</span>`}${model.state !== "finished" && html` <span class=${`state ${model.state}`}>${WORDS[model.state]}</span>`}</p>
      <p class="soft small">${model.sentence}</p></div>
    <${Line} model=${model} range=${range} longest=${longest}/>
    <div class="result"><strong>${fixed(value)}</strong><span class="soft small">${resultWords(model)}</span></div>
    ${model.progress && (model.state === "running") && html`<${Progress} name=${model.name} progress=${model.progress}/>`}</li>`;
}

/** What its number means beside the models before it. @param {any} model */
function resultWords(model) {
  if (model.bits_per_byte == null) return model.epochs.length ? `after ${model.epochs.length} ${model.epochs.length === 1 ? "pass" : "passes"}` : "no pass has ended yet";
  if (model.gain == null) return "bits per byte";
  const size = Math.abs(model.gain).toFixed(3);
  if (size === "0.000") return "as good as the best before";
  const mayBeChance = model.ci95 && model.ci95[0] <= 0 && model.ci95[1] >= 0 ? ", which may be chance" : "";
  return `${size} ${model.gain >= 0 ? "lower" : "higher"} than the best before${mayBeChance}`;
}

/** @param {{name: string, progress: any}} props */
function Progress({ name, progress }) {
  const done = Math.round(100 * progress.fraction);
  return html`<div class="ongoing"><div class="progress" role="progressbar" aria-label=${`Training of ${name}`} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${done}><div style=${{ width: `${done}%` }}></div></div>
    <p class="soft small">Step ${whole(progress.step)} of ${whole(progress.total_steps)}${progress.seconds_left == null ? "" : `, about ${duration(progress.seconds_left)} left`}.</p></div>`;
}

/** Its bits per byte after each pass, as a line. @param {{model: any, range: number[], longest: number}} props */
function Line({ model, range: [low, high], longest }) {
  const values = model.epochs.map((epoch) => epoch.bits_per_byte);
  if (!values.length) return html`<span class="line" aria-hidden="true"></span>`;
  const at = (value) => 36 - (32 * (value - low)) / Math.max(high - low, 1e-9);
  const across = (index) => 2 + (96 * index) / Math.max(1, longest - 1);
  const points = values.map((value, index) => `${across(index).toFixed(1)},${at(value).toFixed(1)}`);
  if (values.length === 1) points.push(`${across(0.25).toFixed(1)},${at(values[0]).toFixed(1)}`);
  return html`<svg class="line" viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label=${`${model.name} after each pass: ${values.map((value) => value.toFixed(3)).join(", ")} bits per byte`}>
    <polyline points=${points.join(" ")}/></svg>`;
}
