// Check: bugs in a training program, problems of fine-tuning data, a loss log of another program.

import { html, useEffect, useRef, useState } from "/static/vendor/preact.min.js";
import { get, post, quoted, request } from "./api.js";
import { bytes, percent, withoutCommands } from "./format.js";
import { ProgramTrials } from "./program_trials.js";
import { Explain, sayError } from "./ui.js";

const KINDS = {
  data: { title: "Fine-tuning data", words: "Duplicates, broken lines, answers that are cut off.", files: "a JSONL or JSON file", drop: true },
  program: { title: "A training program", words: "27 common bugs of PyTorch programs.", files: "your program into the folder of the studio, or into a folder in it", drop: false },
  log: { title: "A loss log", words: "What the curve of another program says.", files: "a log, CSV, or JSON file", drop: true },
};
const MAX_LINES = 12;

/** @param {{name: string}} props */
export function Check({ name }) {
  const kind = name in KINDS ? name : "data";
  return html`<div class="stack"><div><h1>Check</h1><p class="soft">For what you did not train here: data, programs, and logs.</p></div>
    <section class="card stack" aria-label="What to check">
      <div class="kinds" role="group" aria-label="Kind of file">${Object.entries(KINDS).map(([key, { title, words }]) => html`<a key=${key} class="choice button" aria-current=${key === kind ? "true" : undefined} href=${`#/check/${key}`}><strong>${title}</strong><span class="soft small">${words}</span></a>`)}</div>
      <${Files} key=${kind} kind=${kind}/></section></div>`;
}

/** @param {{kind: string}} props */
function Files({ kind }) {
  const [files, setFiles] = useState(null);
  const [chosen, setChosen] = useState("");
  const [result, setResult] = useState(null);
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const load = (select) => get("/checks/files").then((answer) => {
    const some = answer.files[kind];
    setFiles(some);
    setChosen(select || (some.length ? placeOf(some[0]) : ""));
  }, sayError);
  useEffect(() => { load(""); }, []);
  const check = async () => {
    const file = files.find((one) => placeOf(one) === chosen);
    setBusy(true);
    setResult(null);
    setProblem("");
    try {
      setResult(await post("/checks", { kind, folder: file.folder, file: file.file }));
    } catch (error) { setProblem(error.message); }
    setBusy(false);
  };
  if (!files) return html`<p class="soft" role="status"><span class="spin"></span>Looking for files …</p>`;
  return html`${files.length > 0 ? html`<div class="row"><div class="grow"><label for="check-file">File</label><select id="check-file" value=${chosen} onChange=${(event) => { setChosen(event.target.value); setResult(null); }}>${files.map((one) => html`<option key=${placeOf(one)} value=${placeOf(one)}>${placeOf(one)} (${bytes(one.bytes)})</option>`)}</select></div>
      <button class="main check-button" disabled=${isBusy} onClick=${check}>Check</button></div>`
    : html`<p>There is no file yet. ${KINDS[kind].drop ? `Drop ${KINDS[kind].files} here.` : `Put ${KINDS[kind].files}. Then open this page again.`}</p>`}
    ${KINDS[kind].drop ? html`<${Drop} onFile=${(file) => load(placeOf(file))}/>` : html`<p class="soft small">The program runs on this computer for a short time, in a copy of its folder. Check only programs that you trust. No program is taken from the page.</p>`}
    ${isBusy && html`<p role="status"><span class="spin"></span>${kind === "program" ? "The program runs. This takes up to five minutes." : "Reading the file …"}</p>`}
    ${problem && html`<p class="note bad" role="alert">${problem}</p>`}
    ${result && html`<${Result} result=${result}/>`}
    ${kind === "program" && chosen && html`<${ProgramTrials} key=${chosen} file=${(({ folder, file }) => ({ folder, file }))(files.find((one) => placeOf(one) === chosen))}/>`}`;
}

/** @param {{folder: string, file: string}} one */
const placeOf = ({ folder, file }) => (folder ? `${folder}/${file}` : file);

/** @param {{onFile: (file: any) => void}} props */
function Drop({ onFile }) {
  const [isOver, setOver] = useState(false);
  const input = useRef(null);
  const send = async (file) => {
    try {
      onFile(await request("PUT", `/checks/files/${quoted(file.name.replace(/[^\w .,()+-]/g, "_"))}`, file));
    } catch (error) { sayError(error); }
  };
  const over = (event) => { event.preventDefault(); setOver(event.type === "dragover"); };
  const drop = (event) => { over(event); for (const file of event.dataTransfer.files) send(file); };
  return html`<label class=${isOver ? "drop over" : "drop"} onDragOver=${over} onDragLeave=${over} onDrop=${drop}><strong>Drop a file here</strong><span class="soft small">or click. It is stored in the folder checks.</span>
    <input ref=${input} class="hidden-label" type="file" onChange=${(event) => { for (const file of event.target.files) send(file); event.target.value = ""; }}/></label>`;
}

/** @param {{result: any}} props */
function Result({ result }) {
  const findings = result.kind === "program" ? [...result.bugs, ...result.remarks.map((one) => ({ ...one, isRemark: true }))].map(programFinding)
    : result.kind === "data" ? result.problems.map(dataFinding) : logFindings(result);
  const rest = (result.not_checked || []).map((one) => [one.bug || one.problem, one.why]);
  return html`<div class="stack" role="status"><h2>${headline(result, findings)}</h2>
    ${result.ended && html`<p class="note warn">The checks did not finish: ${result.ended}</p>`}
    <ul class="plain findings">${findings.map((one, index) => html`<li key=${index} class=${one.isRemark ? "finding remark" : "finding"}><div class="row"><strong>${one.title}</strong>${one.isRemark && html`<span class="tag">warning</span>`}${one.page && html`<${Explain} name=${one.page} title=${one.title}/>`}</div>
      <p>${sentence(one.evidence)}</p>${one.place && html`<p class="mono small">${one.place}</p>`}${one.fix && html`<p><strong>Fix:</strong> ${withoutCommands(one.fix)}.</p>`}</li>`)}</ul>
    ${result.checked && result.checked.length > 0 && html`<details><summary>Passed (${result.checked.length})</summary><p>${result.checked.map(words).join(", ")}</p></details>`}
    ${rest.length > 0 && html`<details open=${result.kind === "program" && !findings.length}><summary>Not checked (${rest.length})</summary><ul>${rest.map(([title, why]) => html`<li key=${title}><strong>${words(title)}</strong>: ${why}</li>`)}</ul></details>`}
    ${result.not_covered && result.not_covered.length > 0 && html`<details><summary>What no check looks at (${result.not_covered.length})</summary><ul>${result.not_covered.map((one) => html`<li key=${one}>${one}</li>`)}</ul></details>`}</div>`;
}

/** @param {string} text */
const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.` : "");

/** @param {string} name */
const words = (name) => name.replace(/_/g, " ");

/** @param {any} one */
const programFinding = (one) => ({ title: words(one.bug), page: one.bug, evidence: one.evidence, place: one.where, fix: one.fix, isRemark: one.isRemark });

/** @param {any} one */
const dataFinding = (one) => ({ title: words(one.problem), page: "", evidence: one.evidence, place: lineWords(one.lines), fix: one.fix });

/** @param {number[]} lines */
const lineWords = (lines) => (lines.length ? `${lines.length > 1 ? "Lines" : "Line"} ${lines.slice(0, MAX_LINES).join(", ")}${lines.length > MAX_LINES ? `, … (${lines.length} in all)` : ""}` : "");

/** @param {any} result */
function logFindings(result) {
  const causes = result.causes.map((one) => ({ title: `${words(one.cause)} (${percent(one.probability)} sure)`, page: one.cause, evidence: one.reason || result.normal.reason, fix: one.advice, place: "" }));
  // A run that broke off, for example, has advice and no cause.
  return causes.length || result.normal.answer === "yes" ? causes : [{ title: "What the log shows", page: "", evidence: result.normal.reason, fix: result.advice, place: "" }];
}

/** @param {any} result */
function logHeadline(result) {
  if (result.verdict === "broke_off") return "The run did not come to its end";
  return { yes: "The curve is normal", no: "The curve is not normal" }[result.normal.answer] || "The curve alone cannot tell";
}

/** @param {any} result @param {any[]} findings */
function headline(result, findings) {
  const count = findings.filter((one) => !one.isRemark).length;
  if (result.kind === "log") return logHeadline(result);
  const noun = result.kind === "program" ? "bug" : "problem";
  const examples = result.kind === "data" ? ` in ${result.num_examples} examples` : "";
  if (count) return `${count} ${noun}${count === 1 ? "" : "s"}${examples}`;
  const isWhole = result.kind === "data" || (!result.ended && !result.not_checked.length);
  return isWhole ? `No ${noun} found${examples}` : `No ${noun} found, but not everything could be checked`;
}
