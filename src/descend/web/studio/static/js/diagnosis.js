// Diagnosis: why a run does not learn better, by trials with one change each.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, post, quoted } from "./api.js";
import { base, Chart, color } from "./chart.js";
import { duration } from "./format.js";
import { sayError } from "./ui.js";

const LOOK_MILLISECONDS = 2000;

/** @param {{name: string}} props */
export function Diagnosis({ name }) {
  const [details, setDetails] = useState(null);
  const [diagnosis, setDiagnosis] = useState(null);
  const [problem, setProblem] = useState("");
  const job = details && details.job;
  const isBusy = Boolean(job && job.kind === "diagnose" && job.ended_at == null);
  const look = () => get(`/runs/${quoted(name)}`).then(setDetails, (error) => setProblem(error.message));
  useEffect(() => { look(); }, []);
  useEffect(() => {
    if (!isBusy) return undefined;
    const timer = setInterval(look, LOOK_MILLISECONDS);
    return () => clearInterval(timer);
  }, [isBusy]);
  useEffect(() => {
    if (details && details.has_diagnosis && !isBusy) get(`/runs/${quoted(name)}/diagnosis`).then(setDiagnosis, (error) => setProblem(error.message));
  }, [details && details.has_diagnosis, isBusy]);
  const ask = () => post(`/runs/${quoted(name)}/diagnosis`).then(look, sayError);
  const fix = () => post(`/runs/${quoted(name)}/fix`).then(({ run }) => { location.hash = `#/run/${quoted(run)}`; }, sayError);
  if (problem) return html`<p class="note bad" role="alert">${problem}</p>`;
  if (!details) return html`<p class="soft" role="status"><span class="spin"></span>Opening ${name} …</p>`;
  const failed = job && job.kind === "diagnose" && job.exit_code > 0 && details.log.length;
  return html`<div class="stack">
    <div class="row between"><h1>Why does ${name} not learn better?</h1><a class="button" href=${`#/run/${quoted(name)}`}>Back to the run</a></div>
    ${isBusy && html`<section class="card" role="status"><p class="sentence"><span class="spin"></span>It tries the likely causes, one change at a time. This takes one to three minutes.</p>
      <pre class="log" tabindex="0" aria-label="Output">${details.log.slice(-8).join("\n")}</pre></section>`}
    ${failed && !isBusy && html`<p class="note bad" role="alert">${details.log[details.log.length - 1]}</p>`}
    ${!isBusy && !diagnosis && html`<section class="card stack"><p>The run is trained again in short trials, each with one thing changed. What helps more than chance is the answer.</p>
      <p><button class="main big" onClick=${ask}>Find out why</button></p></section>`}
    ${!isBusy && diagnosis && html`<${Answer} diagnosis=${diagnosis} onAgain=${ask} onFix=${fix}/>`}
  </div>`;
}

/** @param {{diagnosis: any, onAgain: () => void, onFix: () => void}} props */
function Answer({ diagnosis, onAgain, onFix }) {
  const keys = Object.entries(diagnosis.recommended_config);
  return html`
    <section class="card stack" aria-label="Answer"><p class="sentence"><strong>${diagnosis.headline}</strong></p>
      ${diagnosis.causes.map((cause) => html`<div key=${cause.cause}><h2>${cause.title}</h2><p>${cause.advice}</p><${EvidenceTable} rows=${cause.evidence}/></div>`)}
      ${keys.length > 0 && html`<p class="row"><button class="main" onClick=${onFix}>Train again with the fix</button><code>${keys.map(([key, value]) => `${key} = ${value}`).join(", ")}</code></p>`}
      <p class="row"><button onClick=${onAgain}>Look again</button><span class="soft small">This took ${duration(diagnosis.seconds)}.</span></p>
      ${diagnosis.warnings.map((text, index) => html`<p class="note warn small" key=${index}>${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.</p>`)}</section>
    ${diagnosis.trials.length > 0 && html`<section class="card" aria-labelledby="trials-title"><h2 id="trials-title">What each change did</h2><${Trials} trials=${diagnosis.trials}/>
      <p class="soft small">Dots right of zero lowered the loss. The lines are 95 % intervals: one that crosses zero may be chance.</p></section>`}
    ${diagnosis.others.map((group) => html`<details class="card" key=${group.title}><summary>${group.title} (${group.causes.length})</summary>
      <ul>${group.causes.map((one) => html`<li key=${one.cause}><strong>${one.title}</strong>: ${one.reason}</li>`)}</ul></details>`)}`;
}

/** @param {{rows: any[]}} props */
function EvidenceTable({ rows }) {
  if (!rows.length) return null;
  return html`<div class="scroll" tabindex="0" role="group" aria-label="Evidence"><table><thead><tr><th>Measured</th><th class="number">Value</th><th>Usual range</th><th>Which means</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.metric}><td>${row.title}</td><td class="number">${Number(row.value.toPrecision(3))} ${row.unit}</td><td>${row.range || "–"}</td><td>${row.reason}</td></tr>`)}</tbody></table></div>`;
}

/** @param {{trials: any[]}} props */
function Trials({ trials }) {
  const names = trials.map((trial) => trial.change);
  const option = () => {
    const chart = base("loss lower by (nats per token)", "");
    delete chart.xAxis.min;
    return {
      ...chart,
      grid: { left: 12, right: 20, top: 8, bottom: 44, containLabel: true },
      tooltip: { show: false },
      yAxis: { type: "category", data: names, inverse: true, axisLabel: { color: color("ink"), width: 220, overflow: "truncate" }, axisLine: { show: false }, axisTick: { show: false } },
      series: [
        ...trials.map((trial, index) => ({ type: "line", symbol: "none", silent: true, lineStyle: { width: 3, color: trial.is_significant ? color("accent") : color("soft") }, data: [[trial.ci95[0], index], [trial.ci95[1], index]] })),
        { type: "scatter", symbolSize: 12, data: trials.map((trial, index) => ({ value: [trial.effect, index], itemStyle: { color: trial.is_significant ? color("accent") : color("soft") } })),
          markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: color("ink") }, data: [{ xAxis: 0 }] } },
      ],
    };
  };
  const words = trials.map((trial) => `${trial.change}: ${trial.effect.toFixed(3)} (${trial.ci95.map((x) => x.toFixed(3)).join(" to ")})`).join("; ");
  return html`<${Chart} option=${option} description=${`Effect of each change. ${words}`} stamp=${names.join("/")}/>`;
}
