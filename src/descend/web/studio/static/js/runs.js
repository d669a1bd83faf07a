// All runs: search, curves over each other, settings side by side, delete with undo.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, post, quoted, request } from "./api.js";
import { base, Chart, color, SERIES } from "./chart.js";
import { Tags } from "./annotation.js";
import { Family } from "./family.js";
import { duration, fixed, moment, percent, short } from "./format.js";
import { say, sayError, State } from "./ui.js";

const MAX_SELECTED = 8;
const CURVE_POINTS = 600;
const MAX_SHOWN = 100;
const LOOK_MILLISECONDS = 4000;

export function Runs() {
  const [runs, setRuns] = useState(null);
  const [query, setQuery] = useState("");
  const [order, setOrder] = useState("started_at");
  const [selected, setSelected] = useState([]);
  const [isAll, setAll] = useState(false);
  const load = () => get("/runs").then((answer) => setRuns(answer.runs)).catch(sayError);
  useEffect(() => {
    load();
    const timer = setInterval(load, LOOK_MILLISECONDS);
    return () => clearInterval(timer);
  }, []);
  if (!runs) return html`<p class="soft" role="status"><span class="spin"></span>Reading the runs …</p>`;
  if (!runs.length) {
    return html`<div class="card stack"><h1>No run yet</h1><p>Your runs will be listed here. <a href="#/start">Train the first one.</a></p></div>`;
  }
  const toggle = (name) => setSelected(selected.includes(name) ? selected.filter((one) => one !== name) : [...selected, name].slice(-MAX_SELECTED));
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = runs.filter((run) => words.every((word) => `${run.name} ${run.text} ${run.state} ${run.tags.join(" ")} ${run.note}`.toLowerCase().includes(word)));
  const sorted = [...matching].sort((a, b) => compare(a, b, order));
  const shown = isAll ? sorted : sorted.slice(0, MAX_SHOWN);
  const chosen = selected.filter((name) => runs.some((run) => run.name === name));
  return html`<div class="stack">
    <div class="row between"><h1>Runs</h1><p class="soft">${runs.length === 1 ? "1 run" : `${runs.length} runs`}</p></div>
    <section class="card" aria-label="List of runs">
      <div class="row">
        <div class="grow"><label class="hidden-label" for="search">Search</label><input id="search" type="search" placeholder="Search by name, text, state, tag, or note" value=${query} onInput=${(event) => setQuery(event.target.value)}/></div>
        <div><label class="hidden-label" for="order">Order</label><select id="order" value=${order} onChange=${(event) => setOrder(event.target.value)}>
          <option value="started_at">newest first</option><option value="bits_per_byte">best first</option><option value="name">by name</option></select></div>
      </div>
      <div class="scroll"><table class="cards">
        <thead><tr><th><span class="hidden-label">Compare</span></th><th>Name</th><th>State</th><th>Text</th><th class="number">Guessed right</th><th class="number">Bits per byte</th><th class="number">Parameters</th><th class="number">Time</th><th>Started</th></tr></thead>
        <tbody>${shown.map((run) => html`<tr key=${run.name}>
          <td class="tick"><input type="checkbox" aria-label=${`Compare ${run.name}`} disabled=${!run.epochs} checked=${chosen.includes(run.name)} onChange=${() => toggle(run.name)}/></td>
          <td class="name">${chosen.includes(run.name) && html`<span class=${`swatch c${chosen.indexOf(run.name)}`}></span>`}<a href=${`#/run/${quoted(run.name)}`}>${run.name}</a>${run.parent && html` <span class="soft small">from ${run.parent}</span>`}<${Tags} tags=${run.tags}/>${run.note && html`<span class="soft small notes">${run.note}</span>`}</td>
          <td><${State} state=${run.state}/></td><td data-label="Text">${run.text}</td>
          <td class="number" data-label="Guessed right">${percent(run.accuracy)}</td><td class="number" data-label="Bits per byte">${fixed(run.bits_per_byte)}</td>
          <td class="number" data-label="Parameters">${short(run.parameters)}</td><td class="number" data-label="Time">${duration(run.seconds)}</td>
          <td class="soft small" data-label="Started">${moment(run.started_at)}</td></tr>`)}</tbody>
      </table></div>
      ${!sorted.length && html`<p class="soft">No run matches.</p>`}
      ${sorted.length > shown.length && html`<p><button onClick=${() => setAll(true)}>Show all ${sorted.length}</button></p>`}
    </section>
    ${chosen.length === 0
      ? runs.filter((run) => run.epochs).length > 1 && html`<p class="soft">Tick two or more runs to compare them.</p>`
      : html`<${Overlay} key=${chosen.join("/")} names=${chosen} onDelete=${async () => { await removeAll(chosen, load); setSelected([]); }}/>`}
    <${Family} runs=${runs}/>
  </div>`;
}

/** @param {any} a @param {any} b @param {string} order */
function compare(a, b, order) {
  if (order === "name") return a.name.localeCompare(b.name, undefined, { numeric: true });
  if (order === "bits_per_byte") return (a.bits_per_byte ?? Infinity) - (b.bits_per_byte ?? Infinity);
  return b.started_at.localeCompare(a.started_at);
}

/** @param {string[]} names @param {() => Promise<any>} load */
async function removeAll(names, load) {
  try {
    const removed = await Promise.all(names.map((name) => request("DELETE", `/runs/${quoted(name)}`)));
    const undo = async () => {
      for (const one of removed) if (one.id) await post("/trash/restore", { id: one.id });
      await load();
    };
    say(names.length === 1 ? `${names[0]} is in the trash.` : `${names.length} runs are in the trash.`, { label: "Undo", action: () => undo().catch(sayError), seconds: 20 });
  } catch (problem) { sayError(problem); }
  await load();
}

/** @param {{names: string[], onDelete: () => void}} props */
function Overlay({ names, onDelete }) {
  const [curves, setCurves] = useState([]);
  const [table, setTable] = useState(null);
  useEffect(() => {
    Promise.all(names.map((name) => get(`/runs/${quoted(name)}/curve?points=${CURVE_POINTS}`))).then(setCurves).catch(sayError);
    if (names.length > 1) get(`/runs/compare?${names.map((name) => `run=${quoted(name)}`).join("&")}`).then(setTable).catch(sayError);
  }, []);
  const option = () => {
    const chart = base("step", "");
    chart.yAxis.min = 0;
    return {
      ...chart, color: SERIES(), tooltip: { ...chart.tooltip, valueFormatter: (value) => Number(value).toFixed(3) },
      legend: { top: 0, textStyle: { color: color("ink") }, itemHeight: 8, data: names },
      series: curves.flatMap((curve, index) => [
        { name: names[index], type: "line", showSymbol: false, lineStyle: { width: 2 }, data: curve.points.map((p) => [p[0], p[2]]) },
        { name: names[index], type: "scatter", symbolSize: 9, itemStyle: { color: SERIES()[index] }, data: curve.epochs.map((e) => [e.step, e.validation_loss]) },
      ]),
    };
  };
  return html`<section class="card stack" aria-labelledby="compare-title">
    <div class="row between"><h2 id="compare-title">${names.length > 1 ? "Side by side" : names[0]}</h2>
      <button class="danger" onClick=${onDelete}>Delete ${names.length > 1 ? `${names.length} runs` : ""}</button></div>
    ${curves.length > 0 && html`<${Chart} option=${option} stamp=${curves.length} description=${`Loss curves of ${names.join(", ")}.`}/>`}
    <p class="soft small">Lines: average loss on training text. Dots: loss on unseen text. Losses of runs with different vocabularies do not compare; bits per byte do.</p>
    ${table && html`<${Differences} table=${table}/>`}
  </section>`;
}

/** @param {{table: any}} props */
function Differences({ table }) {
  const [isAll, setAll] = useState(false);
  const best = Math.min(...table.runs.map((run) => run.bits_per_byte ?? Infinity));
  const rows = table.settings.filter((row) => isAll || row.differs);
  const text = (value) => (value == null ? "–" : String(value));
  return html`<div class="scroll" tabindex="0" role="group" aria-label="Results and settings side by side"><table>
    <thead><tr><th><span class="hidden-label">Result or setting</span></th>${table.runs.map((run, index) => html`<th key=${run.name}><span class=${`swatch c${index}`}></span>${run.name}</th>`)}</tr></thead>
    <tbody>
      <tr><th>Bits per byte</th>${table.runs.map((run) => html`<td key=${run.name}><strong>${fixed(run.bits_per_byte)}</strong>${run.bits_per_byte === best ? " best" : ""}</td>`)}</tr>
      <tr><th>Guessed right</th>${table.runs.map((run) => html`<td key=${run.name}>${percent(run.accuracy)}</td>`)}</tr>
      <tr><th>Time</th>${table.runs.map((run) => html`<td key=${run.name}>${duration(run.seconds)}</td>`)}</tr>
      ${rows.map((row) => html`<tr key=${row.key} class=${row.differs ? "differs" : ""}><th><code>${row.key}</code></th>${row.values.map((value, index) => html`<td key=${index} class="mono">${text(value)}</td>`)}</tr>`)}
    </tbody></table>
    <p><button onClick=${() => setAll(!isAll)}>${isAll ? "Only what differs" : "All settings"}</button></p></div>`;
}
