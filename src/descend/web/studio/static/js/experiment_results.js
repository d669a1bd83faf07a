// What an experiment shows: effects with intervals, tables, and the trials as they end.

import { html } from "/static/vendor/preact.min.js";
import { base, Chart, color, scale } from "./chart.js";
import { Effects } from "./effects.js";
import { duration, fixed, percent, short, signed } from "./format.js";

const BEST_SHOWN = 10;
const VERDICTS = { better: "better", worse: "worse", "not significant": "may be chance", first: "the reference" };

const HowToRead = () => html`<p class="soft small">Dots right of zero lower the loss. The bars are 95 % intervals. If one crosses zero, the effect may be chance.</p>`;

/** @param {any} arm */
const interval = (arm) => (arm.loss_reduction && arm.loss_reduction.ci95 ? `${signed(arm.loss_reduction.ci95[0])} to ${signed(arm.loss_reduction.ci95[1])}` : "");

/** @param {any} one with `loss_reduction` @param {string} name */
const effectRow = (one, name) => {
  const { value, ci95 } = one.loss_reduction;
  return { title: name, change: name, effect: value, ci95, is_significant: one.verdict ? ["better", "worse"].includes(one.verdict) : Boolean(ci95 && (ci95[0] > 0 || ci95[1] < 0)) };
};

/** @param {{experiment: any}} props */
export function ComparisonResult({ experiment }) {
  const { result } = experiment;
  const arms = result ? result.arms : experiment.arms;
  if (!arms.length) return null;
  return html`<${Arms} arms=${arms} unit=${result ? result.unit : experiment.unit} title=${result ? "What each configuration brings" : "What each configuration brings, so far"}/>`;
}

/** The setting in which all arms differ, if it is one alone. @param {any[]} arms */
function commonKey(arms) {
  const keys = new Set(arms.map((arm) => (/^\w+=\S+$/.test(arm.name) ? arm.name.split("=")[0] : "")));
  return keys.size === 1 ? [...keys][0] : "";
}

/** @param {{arms: any[], unit: string, title: string}} props */
function Arms({ arms, unit, title }) {
  const key = commonKey(arms);
  const label = (arm) => (key ? arm.name.slice(key.length + 1) : arm.name.replaceAll("=", " = "));
  const rows = arms.slice(1).filter((arm) => arm.loss_reduction).map((arm) => effectRow(arm, label(arm)));
  const best = Math.min(...arms.map((arm) => arm.bits_per_byte));
  return html`<section class="card stack" aria-labelledby="arms-title"><h2 id="arms-title">${title}</h2>
    ${rows.length > 0 && html`<div><p class="soft small">${key ? `${key.replace(/_/g, " ")[0].toUpperCase()}${key.replace(/_/g, " ").slice(1)}, against ${label(arms[0])}` : `Against ${arms[0].name}`}, with the same seeds and the same text.</p><${Effects} rows=${rows} unit=${unit}/><${HowToRead}/></div>`}
    <div class="scroll" tabindex="0" role="group" aria-label="All numbers"><table class="cards"><thead><tr><th>Configuration</th><th class="number">Bits per byte</th><th class="number">Accuracy</th><th class="number">Loss lower by</th><th class="number">95 % interval</th><th>Verdict</th></tr></thead>
      <tbody>${arms.map((arm, index) => html`<tr key=${arm.name}><td class="name">${arm.name}</td><td class="number" data-label="Bits per byte">${arm.bits_per_byte === best ? html`<strong>${fixed(arm.bits_per_byte)}</strong>` : fixed(arm.bits_per_byte)}</td>
        <td class="number" data-label="Accuracy">${percent(arm.accuracy)}${arm.bigram_accuracy != null && html` <span class="soft small">bigram ${percent(arm.bigram_accuracy)}</span>`}</td>
        <td class="number" data-label="Loss lower by">${index ? signed(arm.loss_reduction && arm.loss_reduction.value) : "–"}</td><td class="number" data-label="95 % interval">${interval(arm) || "–"}</td>
        <td data-label="Verdict">${arm.verdict ? VERDICTS[arm.verdict] : `${arm.num_trials} ${arm.num_trials === 1 ? "training" : "trainings"}`}</td></tr>`)}</tbody></table></div></section>`;
}

/** @param {{experiment: any}} props */
export function AttributionResult({ experiment }) {
  const { result } = experiment;
  if (!result) return null;
  const parts = result.contributions.map((part) => ({ title: part.key, change: part.change, effect: part.loss_reduction, ci95: part.ci95, p: part.p, accuracy: part.accuracy.value, is_significant: part.p != null && part.p < 0.05 }));
  const total = result.total_loss_reduction;
  return html`<section class="card stack" aria-labelledby="parts-title"><h2 id="parts-title">What each change brings</h2>
    <p>All changes from ${result.a} to ${result.b} together ${total.value < 0 ? "raise" : "lower"} the loss by <strong>${fixed(Math.abs(total.value))}</strong> ${result.unit}${total.ci95 ? ` (lower by ${signed(total.ci95[0])} to ${signed(total.ci95[1])}, 95 %)` : ""}. Each part is the mean over all orders of making them.</p>
    <${Effects} rows=${parts} unit=${result.unit}/><${HowToRead}/>
    <div class="scroll" tabindex="0" role="group" aria-label="All numbers"><table class="cards"><thead><tr><th>Change</th><th class="number">Loss lower by</th><th class="number">95 % interval</th><th class="number">Accuracy, points</th></tr></thead>
      <tbody>${parts.map((part) => html`<tr key=${part.change}><td class="name">${part.change}</td><td class="number" data-label="Loss lower by">${signed(part.effect)}</td><td class="number" data-label="95 % interval">${part.ci95 ? `${signed(part.ci95[0])} to ${signed(part.ci95[1])}` : "–"}</td><td class="number" data-label="Accuracy, points">${signed(100 * part.accuracy, 1)}</td></tr>`)}</tbody></table></div>
    ${result.interactions.length > 0 && html`<details><summary>Pairs that work together (${result.interactions.length})</summary><ul>${result.interactions.slice(0, BEST_SHOWN).map((pair) => html`<li key=${pair.keys.join()}>${pair.keys.join(" and ")}: <span class="mono">${signed(pair.loss_reduction)}</span> beyond what each brings alone</li>`)}</ul></details>`}</section>`;
}

/** @param {{experiment: any}} props */
export function SearchResult({ experiment }) {
  const { result } = experiment;
  const trials = result ? result.trials.map((trial) => ({ ...trial, name: valueText(trial.values) })) : experiment.trials;
  const measured = trials.filter((trial) => trial.bits_per_byte != null);
  if (!measured.length) return null;
  return html`
    ${result && html`<${Best} result=${result}/>`}
    <section class="card" aria-labelledby="tried"><h2 id="tried">Configurations that were tried</h2><${BestOverTrials} trials=${measured}/>
      <p class="soft small">Each dot is one configuration, in the order in which they were tried. Lower is better. Hollow ones were ended early, since others were better by then.</p></section>
    ${result && result.confirmation && html`<${Arms} arms=${result.confirmation.arms} unit=${result.confirmation.unit} title="The best one against the one to begin from, with new seeds"/>`}`;
}

/** @param {Record<string, any>} values */
const valueText = (values) => Object.entries(values).map(([key, value]) => `${key}=${typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(3)) : value}`).join(" ");

/** @param {{result: any}} props */
function Best({ result }) {
  const best = result.trials.find((trial) => trial.number === result.best_number);
  const rest = result.ranking.map((number) => result.trials.find((trial) => trial.number === number)).slice(0, BEST_SHOWN);
  return html`<section class="card stack" aria-labelledby="best"><h2 id="best">The best one</h2>
    <dl class="figures">${Object.entries(best.values).map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(3)) : String(value)}</dd></div>`)}</dl>
    ${result.importance.length > 0 && html`<div><h3>How much each setting decided</h3><div class="meter">${result.importance.map((one) => html`<span key=${one.key}>${one.key}</span><span class="track" aria-hidden="true"><i class="good" style=${{ width: `${100 * one.fraction}%` }}></i></span><span class="mono">${percent(one.fraction)}</span>`)}</div></div>`}
    <details><summary>The ${rest.length} best</summary><div class="scroll" tabindex="0" role="group" aria-label="The best configurations"><table class="cards"><thead><tr><th>Settings</th><th class="number">Bits per byte</th><th class="number">Accuracy</th><th class="number">Parameters</th></tr></thead>
      <tbody>${rest.map((trial) => html`<tr key=${trial.number}><td class="name mono small">${valueText(trial.values)}</td><td class="number" data-label="Bits per byte">${fixed(trial.bits_per_byte)}</td><td class="number" data-label="Accuracy">${percent(trial.accuracy)}</td><td class="number" data-label="Parameters">${short(trial.parameters)}</td></tr>`)}</tbody></table></div></details></section>`;
}

/** @param {{trials: any[]}} props */
function BestOverTrials({ trials }) {
  let lowest = Infinity;
  const line = trials.map((trial, index) => {
    if (trial.state === "finished") lowest = Math.min(lowest, trial.bits_per_byte);
    return [index + 1, Number.isFinite(lowest) ? lowest : null];
  });
  const option = () => {
    const chart = base("configuration", "");
    return {
      ...chart,
      xAxis: { ...chart.xAxis, min: 1, minInterval: 1, max: Math.max(2, trials.length) },
      legend: { top: 0, right: 0, textStyle: { color: color("ink"), fontSize: 12 * scale() }, itemHeight: 8, data: ["best so far", "tried"] },
      tooltip: { ...chart.tooltip, trigger: "item", formatter: ({ data }) => (data.name ? `${data.name}\n${data.value[1].toFixed(3)} bits per byte` : "") },
      series: [
        { name: "best so far", type: "line", step: "end", symbol: "none", lineStyle: { width: 3, color: color("accent") }, itemStyle: { color: color("accent") }, data: line },
        { name: "tried", type: "scatter", symbolSize: 11, itemStyle: { color: color("second") }, data: trials.map((trial, index) => ({ name: trial.name, value: [index + 1, trial.bits_per_byte], itemStyle: trial.state === "finished" ? { color: color("second") } : { color: "transparent", borderColor: color("soft"), borderWidth: 2 } })) },
      ],
    };
  };
  const words = `Bits per byte of ${trials.length} configurations. The best has ${fixed(lowest === Infinity ? null : lowest)}.`;
  return html`<${Chart} option=${option} description=${words} stamp=${trials.length}/>`;
}

const ENDS = { finished: "", stopped: "ended early", diverged: "diverged", failed: "failed" };

/** Every training so far. @param {{experiment: any}} props */
export function Trials({ experiment }) {
  const { trials } = experiment;
  if (!trials.length) return null;
  return html`<details class="card" open=${!experiment.result}><summary>${trials.length === 1 ? "1 training" : `${trials.length} trainings`}${experiment.result ? "" : " so far"}</summary>
    <div class="scroll" tabindex="0" role="group" aria-label="Trainings"><table class="cards"><thead><tr><th>Training</th><th class="number">Seed</th><th class="number">Bits per byte</th><th class="number">Accuracy</th><th class="number">Time</th><th><span class="hidden-label">How it ended</span></th></tr></thead>
      <tbody>${[...trials].reverse().map((trial) => html`<tr key=${`${trial.done} ${trial.name}`}><td class="name">${trial.name}</td><td class="number" data-label="Seed">${trial.seed ?? "–"}</td><td class="number" data-label="Bits per byte">${fixed(trial.bits_per_byte)}</td><td class="number" data-label="Accuracy">${percent(trial.accuracy)}</td><td class="number" data-label="Time">${duration(trial.seconds)}</td><td>${ENDS[trial.state]}</td></tr>`)}</tbody></table></div></details>`;
}
