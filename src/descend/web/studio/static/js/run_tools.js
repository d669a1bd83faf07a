// What else can be done with a run: report, export, another text, checklist, forecast.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, post, quoted } from "./api.js";
import { bytes, duration, fixed, percent, whole, withoutCommands } from "./format.js";
import { Serve, Upload } from "./share.js";
import { Explain, say, sayError } from "./ui.js";

const FORMATS = {
  gguf: ["GGUF", "for llama.cpp and Ollama", ["float16", "float32", "q8_0", "q4_0"]],
  safetensors: ["safetensors", "for transformers", ["float32", "float16", "bfloat16"]],
  onnx: ["ONNX", "for onnxruntime", ["float32"]],
  torchscript: ["TorchScript", "for libtorch", ["float32"]],
};
const ANSWERS = { yes: "yes", no: "no", open: "not known" };
const MAX_EPOCHS = 20;

/** @param {{name: string, hasModel: boolean}} props */
export function RunTools({ name, hasModel }) {
  const where = `/runs/${quoted(name)}`;
  return html`<section class="card stack tools" aria-labelledby="tools-title">
    <div class="row between"><h2 id="tools-title">More about this run</h2><${ReportButton} path=${where} file=${`${name}.html`}/></div>
    <${Opened} title="Checklist: five rules"><${Checklist} where=${where}/><//>
    <${Opened} title="What would more training bring?"><${Forecast} where=${where}/><//>
    ${hasModel && html`<${Opened} title="Measure it on another text, or train it further on one"><${OtherText} where=${where}/><//>`}
    ${hasModel && html`<${Opened} title="Export it for another program"><${Export} where=${where}/><//>`}
    ${hasModel && html`<${Opened} title="Serve it to other programs"><${Serve} where=${where}/><//>`}
    ${hasModel && html`<${Opened} title="Upload it to the Hugging Face hub"><${Upload} where=${where}/><//>`}
  </section>`;
}

/** Its inside is made when it is opened: some of it takes a process of its own. @param {{title: string, children?: any}} props */
function Opened({ title, children }) {
  const [isOpen, setOpen] = useState(false);
  return html`<details onToggle=${(event) => setOpen(event.target.open || isOpen)}><summary>${title}</summary>${isOpen && children}</details>`;
}

const Waiting = ({ words }) => html`<p class="soft" role="status"><span class="spin"></span>${words}</p>`;

/** Writes a report, and stores it. @param {{path: string, file: string}} props */
export function ReportButton({ path, file }) {
  const [isBusy, setBusy] = useState(false);
  const make = async () => {
    setBusy(true);
    try {
      const { bytes: size } = await post(`${path}/report`);
      download(`/api/v1${path}/report`, file);
      say(`${file} (${bytes(size)}) is among your downloads.`);
    } catch (problem) { sayError(problem); }
    setBusy(false);
  };
  return html`<button disabled=${isBusy} onClick=${make}>${isBusy ? html`<span class="spin"></span>Writing the report …` : "Download the report"}</button>`;
}

/** @param {string} address @param {string} file */
function download(address, file) {
  const link = document.createElement("a");
  link.href = address;
  link.download = file;
  link.click();
}

/** @param {{where: string}} props */
function Checklist({ where }) {
  const [list, setList] = useState(null);
  useEffect(() => { get(`${where}/checklist`).then(setList, sayError); }, []);
  if (!list) return html`<${Waiting} words="Asking the five questions …"/>`;
  return html`<ul class="plain rules">${list.answers.map((one) => html`<li key=${one.rule}><div class="row"><strong>${one.question}</strong><span class=${`state ${one.answer === "no" ? "bad" : one.answer === "open" ? "waiting" : ""}`}>${ANSWERS[one.answer]}</span><${Explain} name=${one.page} title=${one.rule}/></div><p class="soft small">${one.reason}</p></li>`)}</ul>
    ${!list.diagnosed && html`<p class="soft small">A diagnosis answers what is not known, by short trials.</p>`}`;
}

/** @param {{where: string}} props */
function Forecast({ where }) {
  const [epochs, setEpochs] = useState(1);
  const [answer, setAnswer] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const ask = (event) => {
    event.preventDefault();
    setBusy(true);
    get(`${where}/forecast?epochs=${epochs}`).then(setAnswer, sayError).finally(() => setBusy(false));
  };
  return html`<form class="row" onSubmit=${ask}><label for="more-epochs">Passes over the text</label><input id="more-epochs" class="narrow" type="number" min="1" max=${MAX_EPOCHS} value=${epochs} onInput=${(event) => setEpochs(Number(event.target.value))}/><button disabled=${isBusy}>Forecast</button></form>
    ${isBusy && html`<${Waiting} words="Continuing the curve …"/>`}
    ${answer && html`<p>${withoutCommands(answer.sentence)}</p>
      ${answer.epochs.length > 0 && html`<table class="cards"><thead><tr><th>Pass</th><th class="number">Validation loss</th><th class="number">80 % interval</th><th class="number">Accuracy</th></tr></thead><tbody>${answer.epochs.map((one) => html`<tr key=${one.epoch}><td class="name">${one.epoch}</td><td class="number" data-label="Validation loss">${fixed(one.validation_loss)}</td><td class="number" data-label="80 % interval">${fixed(one.low)} to ${fixed(one.high)}</td><td class="number" data-label="Accuracy">${percent(one.accuracy)}</td></tr>`)}</tbody></table>`}
      ${answer.minutes != null && html`<p class="soft small">It would take about ${duration(60 * answer.minutes)}.</p>`}`}`;
}

/** @param {{where: string}} props */
function OtherText({ where }) {
  const [texts, setTexts] = useState([]);
  const [text, setText] = useState("stories");
  const [answer, setAnswer] = useState(null);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => { get("/texts").then((all) => setTexts(all.texts), sayError); }, []);
  const ask = (event) => {
    event.preventDefault();
    setBusy(true);
    post(`${where}/evaluation`, { text }).then(setAnswer, sayError).finally(() => setBusy(false));
  };
  const trainOn = () => post(`${where}/continue`, { text }).then(({ run }) => { location.hash = `#/run/${quoted(run)}`; }, sayError);
  return html`<form class="row" onSubmit=${ask}><label for="evaluation-text">Text</label><select id="evaluation-text" class="narrow" value=${text} onChange=${(event) => setText(event.target.value)}>${texts.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select><button disabled=${isBusy}>Measure</button><button type="button" onClick=${trainOn}>Train it further</button></form>
    ${isBusy && html`<${Waiting} words="Reading the whole text …"/>`}
    ${answer && html`<dl class="figures"><div><dt>Accuracy on ${answer.text}</dt><dd>${percent(answer.accuracy)}${answer.unigram_accuracy != null && html` <small>most common token ${percent(answer.unigram_accuracy)}</small>`}</dd></div><div><dt>Loss</dt><dd>${fixed(answer.loss)}</dd></div><div><dt>Bits per byte</dt><dd>${fixed(answer.bits_per_byte)}</dd></div><div><dt>Text</dt><dd>${whole(answer.tokens)} <small>tokens</small></dd></div></dl>
      <p class="soft small">A text that it was trained on flatters it.</p>`}`;
}

/** @param {{where: string}} props */
function Export({ where }) {
  const [format, setFormat] = useState("gguf");
  const [type, setType] = useState("");
  const [exported, setExported] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const types = FORMATS[format][2];
  const ask = (event) => {
    event.preventDefault();
    setBusy(true);
    post(`${where}/export`, { format, ...(type ? { type } : {}) }).then(setExported, sayError).finally(() => setBusy(false));
  };
  return html`<form class="row" onSubmit=${ask}><label for="export-format">Format</label><select id="export-format" class="narrow" value=${format} onChange=${(event) => { setFormat(event.target.value); setType(""); }}>${Object.entries(FORMATS).map(([key, [title, program]]) => html`<option key=${key} value=${key}>${title}, ${program}</option>`)}</select>
      <label for="export-type">Numbers</label><select id="export-type" class="narrow" value=${type} onChange=${(event) => setType(event.target.value)}>${types.map((one, index) => html`<option key=${one} value=${index ? one : ""}>${one}</option>`)}</select><button disabled=${isBusy}>Export</button></form>
    ${isBusy && html`<${Waiting} words="Writing the model …"/>`}
    ${exported && html`<p>The model is written as ${exported.format} (${exported.type}). It reads at most ${whole(exported.context)} tokens. The files are in the folder <code>exports/${exported.export}</code>:</p>
      <ul class="files">${exported.files.map((file) => html`<li key=${file.name}><a href=${`/api/v1/exports/${quoted(exported.export)}/files/${quoted(file.name)}`} download=${file.name}>${file.name}</a> <span class="soft small">${bytes(file.bytes)}</span></li>`)}</ul>
      <details><summary>Upload these files to the Hugging Face hub</summary><${Upload} key=${exported.export} where=${where} format=${format}/></details>`}`;
}
