// Diagnosis and improve: why a run does not learn better, and a search for a better model.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, poll, post, quoted } from "./api.js";
import { Effects, Evidence } from "./effects.js";
import { duration, percent } from "./format.js";
import { Improve } from "./improve.js";
import { Explain, Refusal, say, sayError } from "./ui.js";

const LOOK_MILLISECONDS = 1500;

/** @param {any} job */
export const isActive = (job) => Boolean(job && job.ended_at == null);

/** @param {{name: string}} props */
export function Diagnosis({ name }) {
  const [details, setDetails] = useState(null);
  const [progress, setProgress] = useState(null);
  const [diagnosis, setDiagnosis] = useState(null);
  const [problem, setProblem] = useState("");
  const [attempt, setAttempt] = useState(0);
  const [isImproving, setImproving] = useState(false);
  const job = progress && progress.job;
  const isBusy = isActive(job);
  const where = `/runs/${quoted(name)}`;
  const fail = (error) => setProblem(error.message);
  useEffect(() => { get(where).then(setDetails, fail); }, [isBusy, attempt]);
  useEffect(() => {
    if (!isBusy) { get(`${where}/diagnosis/trials`).then(setProgress, fail); return undefined; }
    return poll(`${where}/diagnosis/trials`, LOOK_MILLISECONDS, (answer) => { setProgress(answer); setProblem(""); }, fail);
  }, [isBusy, attempt]);
  useEffect(() => {
    if (details && details.has_diagnosis && !isBusy) get(`${where}/diagnosis`).then(setDiagnosis, fail);
  }, [details && details.has_diagnosis, isBusy]);
  const ask = () => post(`${where}/diagnosis`).then(() => setAttempt(attempt + 1), sayError);
  const stop = () => post(`${where}/stop`).then(() => say("It stops. Trials that have ended are kept."), sayError);
  const fix = () => post(`${where}/fix`).then(({ run }) => { location.hash = `#/run/${quoted(run)}`; }, sayError);
  if (problem && !details) return html`<${Refusal} title=${name} text=${problem}/>`;
  if (!details || !progress) return html`<p class="soft" role="status"><span class="spin"></span>Opening ${name} …</p>`;
  const failed = job && !isBusy && job.exit_code > 0 && progress.log.length;
  return html`<div class="stack">
    <div class="row between"><h1>Why does ${name} not learn better?</h1><a class="button" href=${`#/run/${quoted(name)}`}>Back to the run</a></div>
    ${problem && html`<p class="note warn" role="status">${problem}</p>`}
    ${isBusy && html`<${Running} progress=${progress} onStop=${stop}/>`}
    ${failed && html`<p class="note bad" role="alert">${progress.log[progress.log.length - 1]}</p>`}
    ${!isBusy && !isImproving && !diagnosis && html`<section class="card stack" aria-labelledby="ask"><h2 id="ask">Find the cause by trial</h2>
      <p>The run is trained again in short trials. Each trial has one thing changed. What helps more than chance is the answer.</p>
      <p class="row"><button class="main big" onClick=${ask}>Find out why</button><span class="soft">This takes about ${duration(progress.expected_seconds)}.</span></p></section>`}
    ${!isBusy && diagnosis && html`<${Answer} diagnosis=${diagnosis} onAgain=${ask} onFix=${fix}/>`}
    <${Improve} name=${name} state=${details.state} isBlocked=${isBusy} onBusy=${setImproving}/>
  </div>`;
}

/** @param {{progress: any, onStop: () => void}} props */
function Running({ progress, onStop }) {
  const { job, trials, expected_seconds: expected, log } = progress;
  const isWaiting = job.began_at == null;
  const done = Math.min(99, Math.round((100 * job.elapsed_seconds) / Math.max(1, expected)));
  return html`<section class="card stack" aria-labelledby="trying">
    <div class="row between"><h2 id="trying">${isWaiting ? "It waits" : "Trying the likely causes"}</h2><button onClick=${onStop}>${isWaiting ? "Cancel" : "Stop"}</button></div>
    ${isWaiting ? html`<p role="status">Another run is training. The trials begin when it has ended.</p>` : html`
      <div class="progress" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${done}><div style=${{ width: `${done}%` }}></div></div>
      <p class="soft" role="status"><span class="spin"></span>${trials.length ? `${trials.length} ${trials.length === 1 ? "change has" : "changes have"} been tried.` : "First the run is measured. Then the trials begin."} ${duration(job.elapsed_seconds)} of about ${duration(expected)}.${job.elapsed_seconds > 1.2 * expected ? " Other programs use this computer, so it takes longer." : ""}</p>`}
    ${trials.length > 0 && html`<div><h3>What each change does, so far</h3><${Effects} rows=${trials} unit="nats per token"/><${HowToRead}/></div>`}
    <details><summary>Output</summary><pre class="log" tabindex="0" aria-label="Output">${log.slice(-12).join("\n")}</pre></details>
  </section>`;
}

const HowToRead = () => html`<p class="soft small">Dots right of zero lowered the loss of the trials. They can be shorter than the run, so the run may gain less. The bars are 95 % intervals. If one crosses zero, the effect may be chance. Gray changes do not help, or not surely.</p>`;

/** @param {{diagnosis: any, onAgain: () => void, onFix: () => void}} props */
function Answer({ diagnosis, onAgain, onFix }) {
  const keys = Object.entries(diagnosis.recommended_config);
  const rest = diagnosis.measurements.filter((row) => !diagnosis.causes.some((cause) => cause.evidence.some((one) => one.metric === row.metric)));
  const more = rest.length + diagnosis.others.length + diagnosis.warnings.length > 0;
  return html`
    <section class="card stack" aria-label="Answer"><p class="sentence"><strong>${diagnosis.headline}</strong>${!diagnosis.causes.length && diagnosis.probability !== null && html` <span class="state">${percent(diagnosis.probability)} sure</span>`}</p>
      ${diagnosis.causes.length > 0 && html`<ol class="causes plain">${diagnosis.causes.map((cause, index) => html`<li key=${cause.cause} class="stack">
        <div class="row"><span class="rank" aria-hidden="true">${index + 1}</span><h2>${cause.title}</h2><span class="state">${percent(cause.probability)} sure</span><${Explain} name=${cause.cause} title=${cause.title}/></div>
        <p>What to do: ${cause.advice}.</p><${Evidence} rows=${cause.evidence}/></li>`)}</ol>`}
      ${keys.length > 0 && html`<p class="row"><button class="main" onClick=${onFix}>Train again with the fix</button><code>${keys.map(([key, value]) => `${key} = ${value}`).join(", ")}</code></p>`}
      <p class="row"><button onClick=${onAgain}>Look again</button><span class="soft small">This took ${duration(diagnosis.seconds)}.</span></p></section>
    ${diagnosis.trials.length > 0 && html`<section class="card" aria-labelledby="trials-title"><h2 id="trials-title">What each change did</h2><${Effects} rows=${diagnosis.trials} unit="nats per token"/><${HowToRead}/></section>`}
    ${more && html`<section class="card" aria-label="Details">
    ${rest.length > 0 && html`<details><summary>Other measurements (${rest.length})</summary><${Evidence} rows=${rest}/></details>`}
    ${diagnosis.others.map((group) => html`<details key=${group.title}><summary>${group.title} (${group.causes.length})</summary>
      <ul>${group.causes.map((one) => html`<li key=${one.cause}><strong>${one.title}</strong>: ${one.reason}.</li>`)}</ul></details>`)}
    ${diagnosis.warnings.length > 0 && html`<details><summary>Notes on the trials (${diagnosis.warnings.length})</summary>
      <ul>${diagnosis.warnings.map((text, index) => html`<li key=${index}>${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.</li>`)}</ul></details>`}</section>`}`;
}
