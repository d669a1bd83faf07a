// All runs: search, order, curves over each other, settings side by side, delete with undo.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, post, quoted, request } from "./api.js";
import { base, Chart, color, scale, SERIES } from "./chart.js";
import { Tags } from "./annotation.js";
import { Family } from "./family.js";
import { duration, fixed, moment, percent, short, STATES } from "./format.js";
import { say, sayError, State } from "./ui.js";

const MAX_DRAWN = 8;
const CURVE_POINTS = 600;
const MAX_SHOWN = 100;
const LOOK_MILLISECONDS = 4000;
const MAX_DIFFERENT = 4;
const CEILING = 1.25;

/** Columns, each with the order that its head gives: the best first, the newest first. */
const COLUMNS = [
  { key: "name", title: "Name", order: "name" }, { key: "state", title: "State", order: "state" },
  { key: "text", title: "Text", order: "text" },
  { key: "accuracy", title: "Accuracy", order: "accuracy", isNumber: true },
  { key: "bits_per_byte", title: "Bits per byte", order: "bits_per_byte", isNumber: true },
  { key: "parameters", title: "Parameters", order: "parameters", isNumber: true },
  { key: "seconds", title: "Time", order: "seconds", isNumber: true },
  { key: "started_at", title: "Started", order: "started_at" },
];
const ORDERS = { started_at: "newest first", bits_per_byte: "best first", name: "by name", accuracy: "highest accuracy first", parameters: "largest first", seconds: "longest first", state: "by state", text: "by text" };

export function Runs() {
  const [runs, setRuns] = useState(null);
  const [query, setQuery] = useState("");
  const [order, setOrder] = useState("started_at");
  const [isReversed, setReversed] = useState(false);
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
  const toggle = (name) => setSelected(selected.includes(name) ? selected.filter((one) => one !== name) : [...selected, name]);
  const matching = search(runs, query);
  const different = differentKeys(matching);
  const sorted = [...matching].sort((a, b) => compare(a, b, order, isReversed));
  const isUp = isRising(order) !== isReversed;
  const sortBy = (key) => { setReversed(key === order && !isReversed); setOrder(key); };
  const shown = isAll ? sorted : sorted.slice(0, MAX_SHOWN);
  const columns = COLUMNS.filter((column) => column.key !== "text" || new Set(runs.map((run) => run.text)).size > 1);
  const chosen = selected.filter((name) => runs.some((run) => run.name === name));
  const drawn = chosen.slice(0, MAX_DRAWN);
  const finished = shown.filter((run) => run.epochs).map((run) => run.name);
  return html`<div class="stack">
    <div class="row between"><h1>Runs</h1><p class="soft">${matching.length < runs.length ? `${matching.length} of ` : ""}${runs.length === 1 ? "1 run" : `${runs.length} runs`}${columns.length < COLUMNS.length ? ` on ${runs[0].text}` : ""}</p></div>
    <section class="card" aria-label="List of runs">
      <div class="row">
        <div class="grow"><label class="hidden-label" for="search">Search</label><input id="search" type="search" placeholder="Search, or learning_rate=0.001" value=${query} onInput=${(event) => setQuery(event.target.value)}/></div>
        <div><label class="hidden-label" for="order">Order</label><select id="order" value=${order} onChange=${(event) => { setReversed(false); setOrder(event.target.value); }}>
          ${Object.entries(ORDERS).map(([key, title]) => html`<option key=${key} value=${key}>${title}</option>`)}</select></div>
      </div>
      <div class="scroll"><table class="cards runs">
        <thead><tr><th class="tick"><input type="checkbox" aria-label="Tick all in the list" checked=${finished.length > 0 && finished.every((name) => chosen.includes(name))} onChange=${(event) => setSelected(event.target.checked ? [...new Set([...chosen, ...finished])] : chosen.filter((name) => !finished.includes(name)))}/></th>${columns.map((column) => html`<th key=${column.key} class=${column.isNumber ? "number" : ""} aria-sort=${column.order === order ? (isUp ? "ascending" : "descending") : undefined}>
          <button type="button" class="sort" title=${column.order === order ? "the other way round" : ORDERS[column.order]} onClick=${() => sortBy(column.order)}>${column.title}${column.order === order && html`<span aria-hidden="true">${isUp ? " ▴" : " ▾"}</span>`}</button></th>`)}</tr></thead>
        <tbody>${shown.map((run) => html`<tr key=${run.name}>
          <td class="tick"><input type="checkbox" aria-label=${`Compare ${run.name}`} disabled=${!run.epochs} checked=${chosen.includes(run.name)} onChange=${() => toggle(run.name)}/></td>
          <td class="name"><div class="run-line">${drawn.includes(run.name) && html`<span class=${`swatch c${chosen.indexOf(run.name)}`}></span>`}<a href=${`#/run/${quoted(run.name)}`}>${run.name}</a><${Tags} tags=${run.tags}/><${Aside} run=${run} settings=${settingWords(run, different)}/></div></td>
          <td>${run.remark ? html`<span class="state bad">${run.remark}</span>` : html`<${State} state=${run.state}/>`}</td>${columns.length === COLUMNS.length && html`<td data-label="Text"><span class="short-text" title=${run.text}>${run.text}</span></td>`}
          <td class="number" data-label="Accuracy"><${Accuracy} run=${run}/></td><td class="number" data-label="Bits per byte">${fixed(run.bits_per_byte)}</td>
          <td class="number" data-label="Parameters">${short(run.parameters)}</td><td class="number" data-label="Time">${duration(run.seconds)}</td>
          <td class="soft small" data-label="Started">${moment(run.started_at)}</td></tr>`)}</tbody>
      </table></div>
      ${!sorted.length && html`<p class="soft">No run matches.</p>`}
      ${sorted.length > shown.length && html`<p><button onClick=${() => setAll(true)}>Show all ${sorted.length}</button></p>`}
      <p class="soft small">Accuracy: how often the next token was predicted correctly, on validation text that the model never learns from. In brackets: how often the token before tells it (bigram). Bits per byte: the loss on that text. Lower is better.${runs.filter((run) => run.epochs).length > 1 ? " Tick two or more runs to compare them." : ""}</p>
    </section>
    ${chosen.length > 0 && html`<${Ticked} count=${chosen.length} onNone=${() => setSelected([])}/>`}
    ${chosen.length > 0 && html`<${Overlay} key=${chosen.join("/")} names=${drawn} count=${chosen.length} onDelete=${async () => { await removeAll(chosen, load); setSelected([]); }}/>`}
    <${Family} runs=${runs}/>
  </div>`;
}

/** What ticked runs can do, in sight wherever the list stands. @param {{count: number, onNone: () => void}} props */
function Ticked({ count, onNone }) {
  const show = () => {
    const title = document.getElementById("compare-title");
    title.focus({ preventScroll: true });
    title.scrollIntoView({ block: "start" });
  };
  return html`<div class="ticked row between" role="group" aria-label="Ticked runs"><span>${count === 1 ? "1 run ticked" : `${count} runs ticked`}${count > MAX_DRAWN ? `, the first ${MAX_DRAWN} are drawn` : ""}</span>
    <span class="row"><button class="main" onClick=${show}>${count > 1 ? "Show side by side" : "Show its curve"}</button><button onClick=${onNone}>Untick all</button></span></div>`;
}

/** How often it is right, beside what the token before tells. @param {{run: any}} props */
const Accuracy = ({ run }) => html`${percent(run.accuracy)}${run.bigram_accuracy != null && html` <span class="soft small">(${percent(run.bigram_accuracy)})</span>`}`;

/** What else is known of a run, in the rest of its line; all of it where the pointer rests. @param {{run: any, settings: string}} props */
function Aside({ run, settings }) {
  const from = run.parent ? `from ${run.parent}` : "";
  const all = [from, settings, run.note].filter(Boolean);
  if (!all.length) return null;
  return html`<span class="soft small aside" title=${all.join("\n")}>${from && html`<span>${from} </span>`}${run.note && html`<span class="note-text">${run.note} </span>`}${settings && html`<span class="mono">${settings}</span>`}</span>`;
}

/** A value of a setting, with few digits. @param {any} value @param {string} none */
const settingValue = (value, none) => (value == null ? none : typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value));

/** Everything that a search looks at. @param {any} run */
const described = (run) => `${run.name} ${run.text} ${run.state} ${STATES[run.state] || ""} ${run.remark} ${run.tags.join(" ")} ${run.note} ${Object.entries(run.settings).map(([key, value]) => `${key}=${value ?? "auto"}`).join(" ")}`.toLowerCase();

/** Runs that have each word of `query`. A setting such as `num_layers=1` has to be whole where some run has it, else it is still being typed. @param {any[]} runs @param {string} query */
function search(runs, query) {
  const texts = runs.map(described);
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const isWhole = new Map(words.map((word) => [word, word.includes("=") && texts.some((text) => text.split(" ").includes(word))]));
  return runs.filter((_, index) => words.every((word) => (isWhole.get(word) ? texts[index].split(" ").includes(word) : texts[index].includes(word))));
}

/** Settings that were not set alike in all of `runs`, those that divide them most evenly first. @param {any[]} runs */
function differentKeys(runs) {
  if (runs.length < 2) return [];
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run.settings)))];
  const spreads = new Map(keys.map((key) => [key, spread(runs, key)]));
  return keys.filter((key) => spreads.get(key) > 0).sort((a, b) => spreads.get(b) - spreads.get(a));
}

/** How much the value of a setting tells about which run it is: its entropy over `runs`. @param {any[]} runs @param {string} key */
function spread(runs, key) {
  const counts = new Map();
  for (const run of runs) {
    const value = JSON.stringify(run.settings[key]);
    counts.set(value, (counts.get(value) || 0) + 1);
  }
  const entropy = [...counts.values()].reduce((sum, count) => sum - (count / runs.length) * Math.log(count / runs.length), 0);
  return Math.round(1e6 * entropy);
}

/** @param {any} run @param {string[]} different */
function settingWords(run, different) {
  const all = different.filter((key) => key in run.settings).map((key) => `${key}=${settingValue(run.settings[key], "auto")}`);
  return all.length > MAX_DIFFERENT ? `${all.slice(0, MAX_DIFFERENT).join(" ")} …` : all.join(" ");
}

/** @param {string} order */
const isRising = (order) => ["name", "state", "text", "bits_per_byte"].includes(order);

/** Runs without the value come last. @param {any} a @param {any} b @param {string} order @param {boolean} isReversed */
function compare(a, b, order, isReversed) {
  const [first, second] = [a[order], b[order]];
  if (first == null || second == null) return Number(first == null) - Number(second == null);
  const rising = typeof first === "string" ? first.localeCompare(second, undefined, { numeric: true }) : first - second;
  return isRising(order) !== isReversed ? rising : -rising;
}

/** @param {string[]} names @param {() => Promise<any>} load */
async function removeAll(names, load) {
  try {
    const tried = await Promise.allSettled(names.map((name) => request("DELETE", `/runs/${quoted(name)}`)));
    const removed = tried.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    for (const one of tried) if (one.status === "rejected") sayError(one.reason);
    const undo = async () => {
      for (const one of removed) if (one.id) await post("/trash/restore", { id: one.id }).catch(sayError);
      await load();
    };
    if (removed.length) say(removed.length === 1 ? `${removed[0].run} is in the trash.` : `${removed.length} runs are in the trash.`, { label: "Undo", action: () => undo().catch(sayError) });
  } catch (problem) { sayError(problem); }
  await load();
}

/** @param {{names: string[], count: number, onDelete: () => void}} props */
function Overlay({ names, count, onDelete }) {
  const [curves, setCurves] = useState([]);
  const [table, setTable] = useState(null);
  useEffect(() => {
    Promise.all(names.map((name) => get(`/runs/${quoted(name)}/curve?points=${CURVE_POINTS}`))).then(setCurves).catch(sayError);
    if (names.length > 1) get(`/runs/compare?${names.map((name) => `run=${quoted(name)}`).join("&")}`).then(setTable).catch(sayError);
  }, []);
  // One run that diverges must not flatten the others.
  const ceiling = Math.ceil(CEILING * Math.max(0, ...curves.map((curve) => (curve.points.length ? curve.points[0][2] : 0))));
  const highest = Math.max(0, ...curves.flatMap((curve) => curve.points.map((p) => p[2])));
  const option = () => {
    const chart = base("step", "");
    chart.yAxis.min = 0;
    if (highest > ceiling) chart.yAxis.max = ceiling;
    return {
      ...chart, color: SERIES(), tooltip: { ...chart.tooltip, valueFormatter: (value) => Number(value).toFixed(3) },
      legend: { top: 0, type: "scroll", textStyle: { color: color("ink"), fontSize: 13 * scale() }, itemHeight: 8, data: names },
      series: curves.flatMap((curve, index) => [
        { name: names[index], type: "line", showSymbol: false, lineStyle: { width: 2 }, data: curve.points.map((p) => [p[0], p[2]]) },
        { name: names[index], type: "scatter", symbolSize: 9, itemStyle: { color: SERIES()[index] }, data: curve.epochs.map((e) => [e.step, e.validation_loss]) },
      ]),
    };
  };
  return html`<section class="card stack" aria-labelledby="compare-title">
    <div class="row between"><h2 id="compare-title" tabindex="-1">${names.length > 1 ? "Side by side" : names[0]}</h2>
      <button class="danger" onClick=${onDelete}>Delete ${count > 1 ? `${count} runs` : ""}</button></div>
    ${curves.length > 0 && html`<${Chart} option=${option} stamp=${curves.length} description=${`Loss curves of ${names.join(", ")}.`}/>`}
    <p class="soft small">Lines: average loss on training text. Dots: validation loss. Losses of runs with different vocabularies do not compare; bits per byte do.${highest > ceiling ? ` A loss above ${ceiling} is not drawn.` : ""}</p>
    ${table && html`<${Differences} table=${table}/>`}
  </section>`;
}

/** @param {{table: any}} props */
function Differences({ table }) {
  const [isAll, setAll] = useState(false);
  const best = Math.min(...table.runs.map((run) => run.bits_per_byte ?? Infinity));
  const rows = table.settings.filter((row) => isAll || row.differs);
  return html`<div class="scroll" tabindex="0" role="group" aria-label="Results and settings side by side"><table>
    <thead><tr><th><span class="hidden-label">Result or setting</span></th>${table.runs.map((run, index) => html`<th key=${run.name}><span class=${`swatch c${index}`}></span>${run.name}</th>`)}</tr></thead>
    <tbody>
      <tr><th>Bits per byte</th>${table.runs.map((run) => html`<td key=${run.name}><strong>${fixed(run.bits_per_byte)}</strong>${run.bits_per_byte === best ? " best" : ""}</td>`)}</tr>
      <tr><th>Accuracy</th>${table.runs.map((run) => html`<td key=${run.name}><${Accuracy} run=${run}/></td>`)}</tr>
      <tr><th>Time</th>${table.runs.map((run) => html`<td key=${run.name}>${duration(run.seconds)}</td>`)}</tr>
      ${rows.map((row) => html`<tr key=${row.key} class=${row.differs ? "differs" : ""}><th><code>${row.key}</code></th>${row.values.map((value, index) => html`<td key=${index} class="mono">${settingValue(value, "–")}</td>`)}</tr>`)}
    </tbody></table>
    <p><button onClick=${() => setAll(!isAll)}>${isAll ? "Only what differs" : "All settings"}</button></p></div>`;
}
