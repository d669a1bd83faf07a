// A training program in paired trials: which change of its own flags lowers its loss.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, poll, post, quoted } from "./api.js";
import { duration } from "./format.js";
import { say, sayError } from "./ui.js";

const LOOK_MILLISECONDS = 2000;
const EXAMPLES = { learning_rate: "--lr=0.001", batch_size: "--batch-size=32", num_layers: "--layers=4", dropout_rate: "--dropout=0.1", seed: "--seed", max_steps: "--steps=200", max_tokens: "--tokens=100000", num_epochs: "--epochs=2" };

/** @param {{file: {folder: string, file: string}}} props */
export function ProgramTrials({ file }) {
  const [trials, setTrials] = useState(null);
  const [problem, setProblem] = useState("");
  const [attempt, setAttempt] = useState(0);
  const [metric, setMetric] = useState("val_loss");
  const [flags, setFlags] = useState({});
  const [seeds, setSeeds] = useState(3);
  const where = `/checks/programs/trials?folder=${quoted(file.folder)}&file=${quoted(file.file)}`;
  const isBusy = trials && ["waiting", "running"].includes(trials.state);
  const show = (answer) => { setTrials(answer); setProblem(""); };
  const fail = (error) => setProblem(error.message);
  useEffect(() => (isBusy ? poll(where, LOOK_MILLISECONDS, show, fail) : void get(where).then(show, fail)), [where, isBusy, attempt]);
  const start = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(Object.entries(flags).filter(([, flag]) => flag.trim()).map(([key, flag]) => [key, flag.trim()]));
    post("/checks/programs/trials", { ...file, metric: metric.trim(), flags: given, seeds }).then(() => setAttempt(attempt + 1), sayError);
  };
  const stop = () => post("/checks/programs/trials/stop", file).then(() => { say("The trials stop."); setAttempt(attempt + 1); }, sayError);
  return html`<details open=${Boolean(trials && trials.state !== "none")}><summary>Why does it not learn better? Try changes</summary><div class="stack">
    <p class="soft small">The program runs again and again, with one of its flags changed. What lowers its loss by more than chance is the answer.</p>
    ${isBusy ? html`<div class="row between"><p role="status"><span class="spin"></span>${trials.state === "waiting" ? "Something else is training. The trials begin when it has ended." : `The trials run, for ${duration(trials.elapsed_seconds)} so far. You can close this page.`}</p><button type="button" onClick=${stop}>${trials.state === "waiting" ? "Cancel" : "Stop"}</button></div>
      ${trials.log.length > 0 && html`<pre class="log" tabindex="0" aria-label="Output of the trials">${trials.log.join("\n")}</pre>`}`
    : html`<form class="stack" onSubmit=${start}>
      <div class="form-grid"><div><label for="program-metric">Loss that the program prints</label><input id="program-metric" required value=${metric} onInput=${(event) => setMetric(event.target.value)}/></div>
        <div><label for="program-seeds">Trainings of each</label><input id="program-seeds" type="number" min="2" max="20" value=${seeds} onInput=${(event) => setSeeds(Number(event.target.value))}/></div></div>
      <fieldset class="varied"><legend>Its own flags, each with the value that it has now</legend><div class="form-grid">${Object.entries(EXAMPLES).map(([key, example]) => html`<div key=${key}><label for=${`flag-${key}`}>${key.replace(/_/g, " ")}</label><input id=${`flag-${key}`} placeholder=${example} value=${flags[key] || ""} onInput=${(event) => setFlags({ ...flags, [key]: event.target.value })}/></div>`)}</div>
        <p class="soft small">Leave empty what the program has no flag for. One flag of the steps, tokens, or epochs is needed: it ends a trial.</p></fieldset>
      <p><button class="main">Start the trials</button></p></form>`}
    ${(problem || (trials && trials.problem)) && html`<p class="note bad" role="alert">${problem || trials.problem}</p>`}
    ${trials && trials.state === "stopped" && html`<p class="note warn">The trials were stopped before their end.</p>`}
    ${trials && trials.state === "finished" && html`<div role="status"><p class="sentence"><strong>${trials.sentences[0]}</strong></p><ul>${trials.sentences.slice(1).map((text) => html`<li key=${text}>${text}</li>`)}</ul></div>`}</div></details>`;
}
