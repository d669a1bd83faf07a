// Small parts of every screen.

import { html, signal, useEffect, useRef } from "/static/vendor/preact.min.js";
import { ApiError, get, quoted } from "./api.js";
import { STATES } from "./format.js";

/** Short messages at the edge: { id, text, action, label }. */
export const toasts = signal([]);
let number = 0;

const MESSAGE_SECONDS = 8;
const OFFER_SECONDS = 60;

/** Who cannot be quick has a minute for what a message offers. @param {string} text @param {{label?: string, action?: () => void, seconds?: number}} [options] */
export function say(text, { label, action, seconds = action ? OFFER_SECONDS : MESSAGE_SECONDS } = {}) {
  const id = ++number;
  toasts.value = [...toasts.value.slice(-2), { id, text, label, action }];
  setTimeout(() => drop(id), seconds * 1000);
}

/** @param {number} id */
function drop(id) {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

/** Show what went wrong, in the words of the server. @param {unknown} problem */
export function sayError(problem) {
  say(problem instanceof ApiError || problem instanceof Error ? problem.message : String(problem), { seconds: 14 });
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.value.map((toast) => html`<div class="toast" key=${toast.id}>
      <span>${toast.text}</span>
      ${toast.action && html`<button onClick=${() => { drop(toast.id); toast.action(); }}>${toast.label}</button>`}
    </div>`)}
  </div>`;
}

/** A screen that cannot be opened, and why. @param {{title: string, text: string}} props */
export function Refusal({ title, text }) {
  return html`<div class="stack"><h1>${title}</h1><p class="note bad" role="alert">${text}</p></div>`;
}

/** @param {{state: string}} props */
export function State({ state }) {
  return html`<span class=${`state ${state.replace(" ", "-")}`}>${state === "running" || state === "starting" ? html`<span class="dot"></span>` : null}${STATES[state] || state}</span>`;
}

/** Name and value pairs, large. @param {{items: [string, any, string?][]}} props */
export function Figures({ items }) {
  return html`<dl class="figures">${items.map(([name, value, unit]) => html`<div key=${name}>
    <dt>${name}</dt><dd>${value}${unit && html` <small>${unit}</small>`}</dd></div>`)}</dl>`;
}

/** Bars of numbers, the shortest the best. @param {{rows: {name: string, value: number, good?: boolean}[], max: number, digits?: number}} props */
export function Meter({ rows, max, digits = 2 }) {
  return html`<div class="meter">${rows.map((row) => html`
    <span>${row.name}</span>
    <span class="track" aria-hidden="true"><i class=${row.good ? "good" : ""} style=${{ width: `${Math.min(100, (100 * row.value) / max)}%` }}></i></span>
    <span class="mono">${row.value.toFixed(digits)}</span>`)}</div>`;
}

/** The page of the handbook that is open, or null. */
export const handbook = signal(null);

/** Opens a page of the handbook. @param {{name: string, title: string, label?: string}} props */
export function Explain({ name, title, label = "What is this?" }) {
  const open = () => get(`/pages/${quoted(name)}`).then((page) => { handbook.value = page; }, sayError);
  return html`<button class="link" type="button" aria-label=${`About ${title}`} onClick=${open}>${label}</button>`;
}

/** A dialog with a page of the handbook; its Markdown is shown as text. */
export function HandbookDialog() {
  const ref = useRef(null);
  const page = handbook.value;
  useEffect(() => {
    if (page && ref.current && !ref.current.open) ref.current.showModal();
  }, [page]);
  if (!page) return null;
  const close = () => { handbook.value = null; };
  return html`<dialog ref=${ref} aria-labelledby="page-title" onClose=${close}>
    <div class="row between"><h2 id="page-title">${page.title}</h2><button onClick=${() => ref.current.close()}>Close</button></div>
    ${Object.entries(page.sections).filter(([name]) => name !== "Further reading").map(([name, text]) => html`<section key=${name}>
      <h3>${name}</h3>${paragraphs(text)}</section>`)}
  </dialog>`;
}

/** @param {string} text */
function paragraphs(text) {
  return text.split(/\n\n+/).map((part, index) => part.startsWith("    ")
    ? html`<pre key=${index}>${part.replace(/^ {4}/gm, "")}</pre>`
    : html`<p key=${index}>${part.replace(/`/g, "")}</p>`);
}
