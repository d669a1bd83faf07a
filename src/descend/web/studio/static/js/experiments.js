// Experiments: configurations trained against each other, with intervals; a list, a form, and each one.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, poll, post, quoted, request } from "./api.js";
import { duration, moment, withoutCommands } from "./format.js";
import { ExperimentForm } from "./experiment_forms.js";
import { AttributionResult, ComparisonResult, SearchResult, Trials } from "./experiment_results.js";
import { ReportButton } from "./run_tools.js";
import { Refusal, say, sayError, State } from "./ui.js";

const LOOK_MILLISECONDS = 1500, IDLE_MILLISECONDS = 8000;

const KINDS = {
  compare: ["Compare", "Which of these learns better?"],
  search: ["Search", "Which settings are the best for my text?"],
  attribute: ["Attribute", "Which difference made it better?"],
};
const RESULTS = { compare: ComparisonResult, search: SearchResult, attribute: AttributionResult };

/** @param {{name: string}} props */
export function Experiments({ name }) {
  return name in KINDS || !name ? html`<${Overview} kind=${name || "compare"}/>` : html`<${Experiment} name=${name}/>`;
}

/** @param {{kind: string}} props */
function Overview({ kind }) {
  const [rows, setRows] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => poll("/experiments", IDLE_MILLISECONDS, (answer) => { setRows(answer.experiments); setProblem(""); }, (error) => setProblem(error.message)), []);
  return html`<div class="stack">
    <div><h1>Experiments</h1>
      <p class="soft">Models are trained with one thing changed, each several times. So you see what is more than chance.</p></div>
    ${problem && html`<p class="note warn" role="status">${problem}</p>`}
    <section class="card stack" aria-label="A new experiment">
      <div class="kinds" role="group" aria-label="Kind of experiment">${Object.entries(KINDS).map(([key, [title, question]]) => html`<a key=${key} class="choice button" aria-current=${key === kind ? "true" : undefined} href=${`#/experiments/${key}`}><strong>${title}</strong><span class="soft small">${question}</span></a>`)}</div>
      <${ExperimentForm} key=${kind} kind=${kind}/>
    </section>
    ${rows && rows.length > 0 && html`<section class="card" aria-labelledby="earlier"><h2 id="earlier">Your experiments</h2>
      <ul class="plain experiment-list">${rows.map((row) => html`<${Row} key=${row.name} row=${row}/>`)}</ul></section>`}
  </div>`;
}

/** @param {{row: any}} props */
const Row = ({ row }) => html`<li><div class="row between"><span class="row"><a href=${`#/experiments/${quoted(row.name)}`}>${row.name}</a><span>${row.title === row.name ? "" : row.title}</span></span>
  <span class="row"><${State} state=${row.state}/><span class="soft small">${moment(new Date(1000 * row.started_at).toISOString())}</span></span></div>
  ${row.sentence && html`<p class="soft small">${withoutCommands(row.sentence)}</p>`}</li>`;

/** @param {{name: string}} props */
function Experiment({ name }) {
  const [experiment, setExperiment] = useState(null);
  const [problem, setProblem] = useState("");
  const [attempt, setAttempt] = useState(0);
  const where = `/experiments/${quoted(name)}`;
  const isBusy = experiment && ["waiting", "running"].includes(experiment.state);
  const show = (answer) => { setExperiment(answer); setProblem(""); };
  const fail = (error) => setProblem(error.message);
  useEffect(() => (isBusy ? poll(where, LOOK_MILLISECONDS, show, fail) : void get(where).then(show, fail)), [isBusy, attempt]);
  if (!experiment) return problem ? html`<${Refusal} title=${name} text=${problem}/>` : html`<p class="soft" role="status"><span class="spin"></span>Opening ${name} …</p>`;
  const stop = () => post(`${where}/stop`).then(() => { say("It stops. Trials that have ended are kept."); setAttempt(attempt + 1); }, sayError);
  const again = () => post(`${where}/again`).then(() => setAttempt(attempt + 1), sayError);
  const train = () => post(`${where}/train`).then(({ run }) => { location.hash = `#/run/${quoted(run)}`; }, sayError);
  const { state, result, log } = experiment;
  const Result = RESULTS[experiment.kind];
  return html`<div class="stack">
    <div class="row between"><div><h1>${experiment.title}</h1><p class="row soft small"><${State} state=${state}/> ${name}</p></div>
      <div class="row">${isBusy && html`<button onClick=${stop}>${state === "waiting" ? "Cancel" : "Stop"}</button>`}
        ${["stopped", "failed"].includes(state) && html`<button class="main" onClick=${again}>Go on</button>`}
        ${result && experiment.kind === "search" && html`<button class="main" onClick=${train}>Train the best one</button>`}
        ${result && html`<${ReportButton} path=${where} file=${`${name}.html`}/>`}
        <a class="button" href=${`#/experiments/${experiment.kind}`}>All experiments</a>
        ${!isBusy && html`<button class="danger" onClick=${() => remove(name, experiment.kind)}>Delete</button>`}</div></div>
    ${problem && html`<p class="note warn" role="status">${problem}</p>`}
    ${state === "failed" && log.length > 0 && html`<p class="note bad" role="alert">${log[log.length - 1]}</p>`}
    ${state === "stopped" && html`<p class="note warn">It was stopped before its end. Trials that had ended are kept: it goes on from them.</p>`}
    ${isBusy && html`<${Running} experiment=${experiment}/>`}
    ${result && html`<section class="card" aria-label="Answer">${result.headline && html`<p class="sentence"><strong>${result.headline}</strong></p>`}<p class=${result.headline ? "soft" : "sentence"}>${withoutCommands(result.sentence)}</p></section>`}
    <${Result} experiment=${experiment}/>
    <${Trials} experiment=${experiment}/>
    ${log.length > 0 && html`<details class="card"><summary>Output</summary><pre class="log" tabindex="0" aria-label="Output of the experiment">${log.slice(-14).join("\n")}</pre></details>`}
  </div>`;
}

/** Move an experiment to the trash, and offer it back. @param {string} name @param {string} kind */
async function remove(name, kind) {
  try {
    const { id } = await request("DELETE", `/experiments/${quoted(name)}`);
    location.hash = `#/experiments/${kind}`;
    const undo = () => post("/trash/restore", { id }).then(() => { location.hash = `#/experiments/${quoted(name)}`; }, sayError);
    say(`${name} is in the trash.`, { label: "Undo", action: undo });
  } catch (problem) { sayError(problem); }
}

/** @param {{experiment: any}} props */
function Running({ experiment }) {
  const { trials, state, minutes, elapsed_seconds: elapsed } = experiment;
  if (state === "waiting") return html`<p class="card" role="status">Something else is training. This begins when it has ended.</p>`;
  const last = trials[trials.length - 1];
  const fraction = minutes ? elapsed / (60 * minutes) : last ? last.done / last.total : 0;
  const done = Math.min(99, Math.round(100 * fraction));
  const count = last ? last.done : 0;
  return html`<section class="card" aria-label="How far it is"><div class="progress" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${done}><div style=${{ width: `${done}%` }}></div></div>
    <p role="status"><span class="spin"></span>${last && last.total ? `${count} of ${last.total} trainings have ended.` : count ? `${count} ${count === 1 ? "configuration has" : "configurations have"} been tried.` : "The text is prepared, and a few steps are timed."} <span class="soft">${duration(elapsed)}${minutes ? ` of ${duration(60 * minutes)}` : ""}. You can close this page. It goes on.</span></p></section>`;
}
