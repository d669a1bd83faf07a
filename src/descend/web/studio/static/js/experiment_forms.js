// What a new experiment needs: where it begins, what it varies, and how long it may take.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, post, quoted } from "./api.js";
import { duration } from "./format.js";
import { sayError } from "./ui.js";

const SECONDS = [10, 30, 60, 120, 300, 600, 1800];
const MINUTES = [2, 5, 10, 20, 30, 60, 120, 240, 480];
const SEEDS = [1, 2, 3, 4, 5, 8];
const MAX_RUNS = [8, 16, 32, 64, 128, 256];
const DEFAULT_SPACE = [["learning_rate", "0.0003..0.01"], ["embed_dim", "64,128,256,512"], ["num_layers", "2..6"], ["batch_size", "4,8,16,32"]];

/** Runs, texts, settings, and presets to choose from. */
function useChoices() {
  const [choices, setChoices] = useState(null);
  useEffect(() => {
    Promise.all([get("/runs"), get("/texts"), get("/settings"), get("/presets")]).then(([runs, texts, settings, presets]) => setChoices({
      runs: runs.runs.filter((run) => run.validation_loss != null).map((run) => run.name), texts: texts.texts.map((text) => text.name),
      settings: settings.settings, presets: Object.keys(presets.presets),
    }), sayError);
  }, []);
  return choices;
}

/** @param {{kind: string}} props */
export function ExperimentForm({ kind }) {
  const choices = useChoices();
  if (!choices) return html`<p class="soft" role="status"><span class="spin"></span>Looking for runs and texts …</p>`;
  const Form = { compare: CompareForm, search: SearchForm, attribute: AttributeForm }[kind];
  return html`<${Form} choices=${choices}/>`;
}

/** Send a request, and show the experiment that it starts. @param {string} path @param {any} body */
const start = (path, body) => post(`/experiments/${path}`, body).then(({ experiment }) => { location.hash = `#/experiments/${quoted(experiment)}`; }, sayError);

/** A value as a person writes it. @param {string} text */
const read = (text) => (text === "true" || text === "false" ? text === "true" : text !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

/** @param {string} text */
const listed = (text) => text.split(",").map((part) => part.trim()).filter(Boolean).map(read);

/** Settings with their values, without those that are empty. @param {string[][]} rows @param {(text: string) => any} convert */
const filled = (rows, convert) => Object.fromEntries(rows.filter(([key, text]) => key && text.trim()).map(([key, text]) => [key, convert(text)]));

/** What `text:stories` or `run:stories-1` stands for. @param {string} value */
const origin = (value) => { const at = value.indexOf(":"); return { kind: value.slice(0, at), name: value.slice(at + 1) }; };

/** @param {{choices: any}} props */
function CompareForm({ choices }) {
  const [from, setFrom] = useState(choices.runs.length ? `run:${choices.runs[0]}` : `text:${choices.texts[0]}`);
  const [others, setOthers] = useState([]);
  const [rows, setRows] = useState([["learning_rate", "0.001, 0.003"]]);
  const [seconds, setSeconds] = useState(30);
  const [seeds, setSeeds] = useState(3);
  const { kind, name } = origin(from);
  const rivals = kind === "run" ? others.filter((one) => one !== name) : [];
  const vary = filled(rows, listed);
  const count = (1 + rivals.length) * Object.values(vary).reduce((product, values) => product * values.length, 1);
  const submit = (event) => {
    event.preventDefault();
    start("comparisons", { ...(kind === "run" ? { runs: [name, ...rivals] } : { text: name }), vary, seeds, ...(seconds ? { seconds } : {}) });
  };
  const toggle = (one) => setOthers(others.includes(one) ? others.filter((other) => other !== one) : [...others, one]);
  return html`<form class="stack" onSubmit=${submit}>
    <div class="form-grid"><${From} choices=${choices} value=${from} onChange=${setFrom}/>
      <${Select} id="each" title="Each training" value=${seconds} onChange=${setSeconds} options=${[[0, "as many tokens as planned"], ...SECONDS.map((one) => [one, duration(one)])]}/>
      <${Seeds} value=${seeds} onChange=${setSeeds}/></div>
    <${Rows} legend="Values to compare" rows=${rows} max=${3} settings=${choices.settings} hint="0.001, 0.003" onChange=${setRows}/>
    ${kind === "run" && choices.runs.length > 1 && html`<details><summary>Other runs to compare with${rivals.length ? ` (${rivals.length})` : ""}</summary><div class="ticks">${choices.runs.filter((one) => one !== name).map((one) => html`<label key=${one} class="row"><input type="checkbox" checked=${others.includes(one)} onChange=${() => toggle(one)}/> ${one}</label>`)}</div></details>`}
    <${Go} title="Compare" isReady=${count > 1} words=${count > 1 ? `${count} configurations, ${seeds} times each: ${count * seeds} trainings${seconds ? ` of ${duration(seconds)}` : ""}.` : "Give at least two values, or choose another run."}/></form>`;
}

/** @param {{choices: any}} props */
function SearchForm({ choices }) {
  const [from, setFrom] = useState(choices.runs.length ? `run:${choices.runs[0]}` : `text:${choices.texts[0]}`);
  const [rows, setRows] = useState(DEFAULT_SPACE);
  const [minutes, setMinutes] = useState(10);
  const [seeds, setSeeds] = useState(3);
  const submit = (event) => {
    event.preventDefault();
    const { kind, name } = origin(from);
    start("searches", { [kind]: name, minutes, seeds, space: filled(rows, (text) => text.trim()) });
  };
  return html`<form class="stack" onSubmit=${submit}>
    <div class="form-grid"><${From} choices=${choices} value=${from} onChange=${setFrom}/>
      <${Select} id="search-minutes" title="Time" value=${minutes} onChange=${setMinutes} options=${MINUTES.map((one) => [one, duration(60 * one)])}/>
      <${Seeds} value=${seeds} onChange=${setSeeds} title="Trainings to confirm it"/></div>
    <${Rows} legend="Where to search" rows=${rows} max=${8} settings=${choices.settings} hint="0.001..0.01, or 64,128" onChange=${setRows}/>
    <${Go} title=${`Search for ${duration(60 * minutes)}`} isReady=${rows.some(([key, text]) => key && text.trim())} words="Two dots mean a range, commas mean a choice. Each configuration that is tried tells the search where to look next."/></form>`;
}

/** @param {{choices: any}} props */
function AttributeForm({ choices }) {
  const sides = [...choices.runs, ...choices.presets];
  const [a, setA] = useState(choices.runs[0] || "old");
  const [b, setB] = useState(choices.runs[1] || "guide");
  const [text, setText] = useState(choices.runs.length ? "" : choices.texts[0]);
  const [seeds, setSeeds] = useState(2);
  const [maxRuns, setMaxRuns] = useState(32);
  const submit = (event) => {
    event.preventDefault();
    start("attributions", { a, b, seeds, max_runs: maxRuns, ...(text ? { text } : {}) });
  };
  const options = [["Runs", choices.runs], ["Presets", choices.presets]];
  return html`<form class="stack" onSubmit=${submit}>
    <div class="form-grid"><${Grouped} id="side-a" title="From" value=${a} onChange=${setA} groups=${options}/>
      <${Grouped} id="side-b" title="To" value=${b} onChange=${setB} groups=${options}/>
      <${Select} id="attribute-text" title="Text" value=${text} onChange=${setText} options=${[...(choices.runs.length ? [["", "that of the runs"]] : []), ...choices.texts.map((one) => [one, one])]}/>
      <${Seeds} value=${seeds} onChange=${setSeeds}/>
      <${Select} id="max-runs" title="Trainings at most" value=${maxRuns} onChange=${setMaxRuns} options=${MAX_RUNS.map((one) => [one, String(one)])}/></div>
    <${Go} title="Attribute" isReady=${a !== b && sides.length > 1} words=${a === b ? "Choose two that differ." : `Models with some of the differences are trained, each as long as ${a}.`}/></form>`;
}

/** @param {{title: string, isReady: boolean, words: string}} props */
const Go = ({ title, isReady, words }) => html`<p class="row"><button class="main" disabled=${!isReady}>${title}</button><span class="soft small">${words}</span></p>`;

/** @param {{choices: any, value: string, onChange: (value: string) => void}} props */
const From = ({ choices, value, onChange }) => html`<${Grouped} id="from" title="Begin with" value=${value} onChange=${onChange}
  groups=${[["Settings of a run", choices.runs, "run:"], ["Usual settings on a text", choices.texts, "text:"]]}/>`;

/** @param {{value: number, onChange: (value: number) => void, title?: string}} props */
const Seeds = ({ value, onChange, title = "Trainings of each" }) => html`<${Select} id="seeds" title=${title} value=${value} onChange=${onChange} options=${SEEDS.map((one) => [one, one === 1 ? "1 (no interval)" : String(one)])}/>`;

/** @param {{id: string, title: string, value: any, options: any[][], onChange: (value: any) => void}} props */
function Select({ id, title, value, options, onChange }) {
  const change = (event) => onChange(options[event.target.selectedIndex][0]);
  return html`<div class="field"><label for=${id}>${title}</label><select id=${id} value=${value} onChange=${change}>${options.map(([key, words]) => html`<option key=${key} value=${key}>${words}</option>`)}</select></div>`;
}

/** @param {{id: string, title: string, value: string, groups: any[][], onChange: (value: string) => void}} props */
function Grouped({ id, title, value, groups, onChange }) {
  return html`<div class="field"><label for=${id}>${title}</label><select id=${id} value=${value} onChange=${(event) => onChange(event.target.value)}>
    ${groups.filter(([, names]) => names.length).map(([label, names, prefix = ""]) => html`<optgroup key=${label} label=${label}>${names.map((one) => html`<option key=${one} value=${prefix + one}>${one}</option>`)}</optgroup>`)}</select></div>`;
}

/** Settings, each with its values. @param {{legend: string, rows: string[][], max: number, settings: any[], hint: string, onChange: (rows: string[][]) => void}} props */
function Rows({ legend, rows, max, settings, hint, onChange }) {
  const set = (index, at, value) => onChange(rows.map((row, n) => (n === index ? (at ? [row[0], value] : [value, row[1]]) : row)));
  return html`<fieldset class="varied"><legend>${legend}</legend>
    ${rows.map(([key, text], index) => html`<div class="varied-row" key=${index}>
      <div><label class="hidden-label" for=${`key-${index}`}>Setting ${index + 1}</label><select id=${`key-${index}`} value=${key} onChange=${(event) => set(index, 0, event.target.value)}>${settings.map((field) => html`<option key=${field.key} value=${field.key}>${field.title}</option>`)}</select></div>
      <div><label class="hidden-label" for=${`values-${index}`}>Values of setting ${index + 1}</label><input id=${`values-${index}`} class="mono" value=${text} placeholder=${hint} autocomplete="off" onInput=${(event) => set(index, 1, event.target.value)}/></div>
      <button type="button" aria-label=${`Remove setting ${index + 1}`} disabled=${rows.length < 2} onClick=${() => onChange(rows.filter((_, n) => n !== index))}>Remove</button></div>`)}
    ${rows.length < max && html`<p><button type="button" onClick=${() => onChange([...rows, [(settings.find((field) => !rows.some(([key]) => key === field.key)) || settings[0]).key, ""]])}>Add a setting</button></p>`}</fieldset>`;
}
