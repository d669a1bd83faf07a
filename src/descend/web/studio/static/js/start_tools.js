// Less frequent parts of Start: one text made of several, and a tokenizer that several runs share.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, post, quoted } from "./api.js";
import { bytes, percent, whole } from "./format.js";
import { say, sayError } from "./ui.js";

const DUPLICATES = { exact: "same documents", near: "same and similar documents", none: "nothing" };
const TOKENIZERS = { bpe: "pieces of words (BPE)", char: "characters", byte: "bytes" };

/** @param {number} count @param {string} noun */
const counted = (count, noun) => `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;

/** One text made of several, without duplicates. @param {{texts: any[], onText: (name: string) => void}} props */
export function MakeText({ texts, onText }) {
  const own = texts.filter((text) => !text.builtin);
  const [sources, setSources] = useState([]);
  const [name, setName] = useState("my corpus");
  const [deduplicate, setDeduplicate] = useState("exact");
  const [minLength, setMinLength] = useState(1);
  const [dropsBoilerplate, setDropsBoilerplate] = useState(false);
  const [made, setMade] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const toggle = (one) => setSources(sources.includes(one) ? sources.filter((other) => other !== one) : [...sources, one]);
  const make = (event) => {
    event.preventDefault();
    setBusy(true);
    setMade(null);
    post(`/texts/${quoted(name)}/additions`, { sources, deduplicate, min_length: minLength, drop_boilerplate: dropsBoilerplate })
      .then((answer) => { setMade(answer); onText(answer.name); }, sayError).finally(() => setBusy(false));
  };
  if (!own.length) return null;
  return html`<details><summary>Make one text of several, without duplicates</summary>
    <form class="stack" onSubmit=${make}>
    <fieldset class="varied"><legend>Read these</legend><div class="ticks">${own.map((one) => html`<label key=${one.name} class="row"><input type="checkbox" checked=${sources.includes(one.name)} onChange=${() => toggle(one.name)}/> ${one.name}</label>`)}</div></fieldset>
    <div class="form-grid"><div><label for="corpus-name">Name of the new text</label><input id="corpus-name" required maxlength="90" value=${name} onInput=${(event) => setName(event.target.value)}/></div>
      <div><label for="corpus-duplicates">Leave out</label><select id="corpus-duplicates" value=${deduplicate} onChange=${(event) => setDeduplicate(event.target.value)}>${Object.entries(DUPLICATES).map(([key, title]) => html`<option key=${key} value=${key}>${title}</option>`)}</select></div>
      <div><label for="corpus-length">Shortest document, in characters</label><input id="corpus-length" type="number" min="0" value=${minLength} onInput=${(event) => setMinLength(Number(event.target.value))}/></div></div>
    <label class="row"><input type="checkbox" checked=${dropsBoilerplate} onChange=${() => setDropsBoilerplate(!dropsBoilerplate)}/> Leave out text that recurs across documents, as menus and licenses</label>
    <p class="row"><button disabled=${isBusy || !sources.length}>Make the text</button>${isBusy && html`<span role="status"><span class="spin"></span>Reading the texts …</span>`}</p></form>
    ${made && html`<p role="status">${counted(made.documents, "document")} (${bytes(made.bytes)}) from ${counted(made.files, "file")} are added to ${made.name}. Left out: ${counted(made.exact_duplicates + made.near_duplicates, "duplicate")}, ${counted(made.too_short, "short document")}${made.boilerplate_fraction > 0 ? `, and ${percent(made.boilerplate_fraction)} of the text as recurring` : ""}${made.num_unreadable_files > 0 ? `, and ${counted(made.num_unreadable_files, "unreadable file")}` : ""}.</p>`}</details>`;
}

/** A tokenizer for several runs: made from a text, and chosen for the next run. @param {{text: string, value: string, onChange: (name: string) => void}} props */
export function SharedTokenizer({ text, value, onChange }) {
  const [all, setAll] = useState([]);
  const [name, setName] = useState("shared");
  const [kind, setKind] = useState("bpe");
  const [size, setSize] = useState(1000);
  const [isBusy, setBusy] = useState(false);
  const load = () => get("/tokenizers").then((answer) => setAll(answer.tokenizers), sayError);
  useEffect(() => { load(); }, []);
  const make = (event) => {
    event.preventDefault();
    setBusy(true);
    const settings = kind === "bpe" ? { tokenizer: kind, vocab_size: size } : { tokenizer: kind };
    post(`/tokenizers/${quoted(name)}`, { text, settings }).then(async (made) => {
      await load();
      onChange(made.name);
      say(`${made.name} has ${whole(made.vocab_size)} tokens, of ${made.bytes_per_token.toFixed(2)} bytes each on average. The next run uses it.`);
    }, sayError).finally(() => setBusy(false));
  };
  return html`<details><summary>Use one tokenizer for several runs${value ? ` (${value})` : ""}</summary>
    <p class="soft small">Runs that share a tokenizer have the same tokens, so their losses compare. Usually each run makes its own.</p>
    <div class="stack"><div class="form-grid"><div><label for="tokenizer-choice">Tokenizer of the next run</label><select id="tokenizer-choice" value=${value} onChange=${(event) => onChange(event.target.value)}><option value="">made from its text</option>${all.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select></div></div>
    <form class="stack" onSubmit=${make}><div class="form-grid"><div><label for="tokenizer-name">Name of a new one</label><input id="tokenizer-name" required maxlength="90" value=${name} onInput=${(event) => setName(event.target.value)}/></div>
      <div><label for="tokenizer-kind">A token is one of these</label><select id="tokenizer-kind" value=${kind} onChange=${(event) => setKind(event.target.value)}>${Object.entries(TOKENIZERS).map(([key, title]) => html`<option key=${key} value=${key}>${title}</option>`)}</select></div>
      ${kind === "bpe" && html`<div><label for="tokenizer-size">Different tokens</label><input id="tokenizer-size" type="number" min="2" value=${size} onInput=${(event) => setSize(Number(event.target.value))}/></div>`}</div>
      <p class="row"><button disabled=${isBusy || !text}>Make a tokenizer</button><span class="soft small">${isBusy ? html`<span class="spin"></span>Reading ${text} …` : text ? `From ${text}.` : "Choose a text first."}</span></p></form></div></details>`;
}
