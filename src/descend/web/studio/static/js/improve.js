// Improve for M minutes: the best loss over time against the forecast, and what each change brought.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { poll, post, quoted } from "./api.js";
import { BestOverTime, Effects, Waterfall } from "./effects.js";
import { duration, fixed } from "./format.js";
import { Models } from "./improve_models.js";
import { Figures, say, sayError } from "./ui.js";

const MINUTES = [1, 2, 3, 5, 10, 20, 30, 60, 120, 240, 480];
const LOOK_MILLISECONDS = 1500, IDLE_MILLISECONDS = 6000;

/** @param {{name: string, state: string, isBlocked: boolean, onBusy: (isBusy: boolean) => void}} props */
export function Improve({ name, state, isBlocked, onBusy }) {
  const [improvement, setImprovement] = useState(null);
  const [problem, setProblem] = useState("");
  const [minutes, setMinutes] = useState(5);
  const [attempt, setAttempt] = useState(0);
  const where = `/runs/${quoted(name)}/improvement`;
  const job = improvement && improvement.job;
  const isBusy = Boolean(job && job.ended_at == null);
  useEffect(() => poll(where, isBusy || !improvement ? LOOK_MILLISECONDS : IDLE_MILLISECONDS,
    (answer) => { setImprovement(answer); setProblem(""); }, (error) => setProblem(error.message)), [isBusy, attempt, !improvement]);
  useEffect(() => onBusy(isBusy), [isBusy]);
  if (!improvement) return problem ? html`<p class="note bad" role="alert">${problem}</p>` : null;
  const start = () => post(where, { minutes }).then(() => setAttempt(attempt + 1), sayError);
  const stop = () => post(`/runs/${quoted(name)}/stop`).then(() => say("It stops, and keeps the best model so far."), sayError);
  const keep = () => post(`${where}/keep`).then(({ run }) => { location.hash = `#/run/${quoted(run)}`; }, sayError);
  const failed = job && !isBusy && job.exit_code > 0 && job.exit_code < 128 && improvement.log.length;
  return html`<section class="card stack" aria-labelledby="improve-title">
    <div class="row between"><h2 id="improve-title">Make it better</h2>${isBusy && html`<button onClick=${stop}>${job.began_at == null ? "Cancel" : "Stop and keep the best"}</button>`}</div>
    ${problem && html`<p class="note warn" role="status">${problem}</p>`}
    ${failed && html`<p class="note bad" role="alert">${improvement.log[improvement.log.length - 1]}</p>`}
    ${isBusy ? html`<${Running} job=${job} log=${improvement.log} stage=${stageOf(improvement)}/>` : state === "finished" ? html`
      <p>descend plans a recipe for your text and this computer, and trains it. Then it tries changes one by one, or trains models that learn from earlier ones. You get the best model that was found.</p>
      <div class="row"><div class="minutes"><label class="hidden-label" for="improve-minutes">Time to improve</label>
        <select id="improve-minutes" value=${minutes} onChange=${(event) => setMinutes(Number(event.target.value))}>${MINUTES.map((one) => html`<option key=${one} value=${one}>${duration(60 * one)}</option>`)}</select></div>
        <button class="main" disabled=${isBlocked} onClick=${start}>${improvement.exists ? "Improve further" : "Improve"} for ${duration(60 * minutes)}</button></div>`
    : html`<p class="soft">A run can be improved once it is finished.</p>`}
    ${improvement.exists && html`<${Results} improvement=${improvement} job=${job} isBusy=${isBusy} onKeep=${keep}/>`}
  </section>`;
}

/** What it does now. @param {any} improvement */
function stageOf(improvement) {
  if (!improvement.exists || improvement.first == null) return "First your run is measured on text that no model learns from.";
  if (!improvement.forecast.length) return "Now it times this computer, and plans a recipe.";
  const now = improvement.models.find((one) => one.state === "running" || one.state === "starting");
  if (now) return `Now ${now.name} is trained${now.teachers.length ? `. It also learns from ${now.teachers.join(" and ")}` : ""}.`;
  if (improvement.models.some((one) => one.state === "measuring")) return "The newest model is measured on text that no model learns from.";
  return improvement.trials.length ? "Changes are tried in short trials. What helps is trained." : "Now it measures what each change is worth, and decides what to try next.";
}

/** @param {{job: any, log: string[], stage: string}} props */
function Running({ job, log, stage }) {
  if (job.began_at == null) return html`<p role="status">Another run is training. The improvement begins when it has ended.</p>`;
  const done = Math.min(99, Math.round((100 * job.elapsed_seconds) / (60 * job.minutes)));
  return html`<div class="progress" role="progressbar" aria-label="Time used" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${done}><div style=${{ width: `${done}%` }}></div></div>
    <p role="status"><span class="spin"></span>${stage} <span class="soft">${duration(job.elapsed_seconds)} of ${duration(60 * job.minutes)}. You can close this page. It goes on.</span></p>
    <details><summary>Output</summary><pre class="log" tabindex="0" aria-label="Output of the improvement">${log.slice(-12).join("\n")}</pre></details>`;
}

/** @param {{improvement: any, job: any, isBusy: boolean, onKeep: () => void}} props */
function Results({ improvement, job, isBusy, onKeep }) {
  const { first, best, forecast, waterfall, trials } = improvement;
  const expected = forecast[forecast.length - 1];
  const end = Math.max(expected ? expected.seconds : 0, improvement.seconds, 30);
  const items = [["Your run", fixed(first), "bits per byte"]];
  if (best) items.push([isBusy ? "Best so far" : "Best model", fixed(best.bits_per_byte), "bits per byte"]);
  if (expected) items.push(["Expected", fixed(expected.bits_per_byte), `${fixed(expected.interval[0], 2)} to ${fixed(expected.interval[1], 2)}`]);
  const isBetter = best && best.is_new && best.bits_per_byte < first;
  const isTooShort = improvement.stopped && improvement.points.length < 2;
  const isUnexpected = !isBusy && best && expected && (best.bits_per_byte < expected.interval[0] || best.bits_per_byte > expected.interval[1]);
  const now = isBusy && job ? Math.max(improvement.seconds, Math.min(end, job.elapsed_seconds)) : improvement.seconds;
  return html`
    ${!isBusy && best && html`<p class="sentence" role="status"><strong>${isBetter ? `The best model needs ${fixed(first - best.bits_per_byte)} bits per byte less than your run.` : isTooShort ? "The time was too short to train another model. Choose a longer time." : "No better model was found. Your run is still the best one."}</strong>
      ${improvement.stopped ? html` <span class="soft">It ended because ${improvement.stopped}.</span>` : html` <span class="soft">It was stopped. The best model so far is kept.</span>`}</p>`}
    <${Figures} items=${items}/>
    ${!isBusy && isBetter && html`<p><button class="main" onClick=${onKeep}>Put the best model among your runs</button></p>`}
    <div><h3>The best model over time</h3><${BestOverTime} improvement=${{ ...improvement, now }} end=${end}/>
      <p class="soft small">Bits per byte on text that no model learns from. Lower is better.${expected ? " The shaded band should hold the result with 80 % certainty." : improvement.has_other_forecast ? " No forecast is drawn: it rests on other texts, and this one is easier." : ""}${isUnexpected ? " Here it does not: it rests on other texts." : ""}</p></div>
    ${improvement.models.length > 0 && html`<${Models} models=${improvement.models} isBusy=${isBusy}/>`}
    ${trials.length > 0 && html`<div><h3>Changes that were tried</h3><${Effects} rows=${trials} unit="bits per byte"/></div>`}
    ${!isBusy && waterfall.length > 0 && html`<div><h3>Where the gain comes from</h3><${Waterfall} steps=${waterfall} first=${first} best=${best.bits_per_byte} unit="bits per byte"/></div>`}
    ${!isBusy && improvement.setting_effects.length > 0 && html`<div><h3>What each group of settings is worth</h3><${Effects} rows=${improvement.setting_effects.map((one) => ({ ...one, change: one.title }))} unit="bits per byte"/>
      <p class="soft small">Each was taken back alone, in a short trial.</p></div>`}
    ${!isBusy && improvement.changes.length > 0 && html`<details><summary>All changes (${improvement.changes.length})</summary><ul>${improvement.changes.map((one, index) => html`<li key=${index}><strong>${one.title}</strong>: <span class="mono">${one.effect.toFixed(3)}</span> lower${one.ci95 ? ` (95 %: ${one.ci95.map((x) => x.toFixed(3)).join(" to ")})` : ""}, by ${one.measured_by}. <code>${one.change}</code></li>`)}</ul></details>`}
    ${!isBusy && improvement.expectations.length > 0 && html`<details><summary>What more would bring</summary><ul>${improvement.expectations.map((one) => html`<li key=${one.more}>${one.more}: about ${fixed(one.bits_per_byte)} bits per byte${one.interval && one.interval[0] < one.interval[1] ? ` (80 %: ${fixed(one.interval[0])} to ${fixed(one.interval[1])})` : ""}, by ${one.measured_by}</li>`)}</ul></details>`}
    ${improvement.notes.map((text, index) => html`<p class="note" key=${index}>${text}</p>`)}`;
}
