// Who comes from whom: runs that went on from another one, as a tree.

import { html } from "/static/vendor/preact.min.js";
import { quoted } from "./api.js";
import { fixed } from "./format.js";
import { State } from "./ui.js";

/** The parent in each row, if that run is in the list. @param {any[]} runs */
function childrenOf(runs) {
  const names = new Set(runs.map((run) => run.name));
  /** @type {Map<string, any[]>} */
  const children = new Map();
  for (const run of [...runs].sort((a, b) => a.started_at.localeCompare(b.started_at))) {
    if (!run.parent || !names.has(run.parent) || run.parent === run.name) continue;
    children.set(run.parent, [...(children.get(run.parent) || []), run]);
  }
  return children;
}

/** @param {{runs: any[]}} props */
export function Family({ runs }) {
  const children = childrenOf(runs);
  if (!children.size) return null;
  const isChild = new Set([...children.values()].flat().map((run) => run.name));
  const roots = runs.filter((run) => children.has(run.name) && !isChild.has(run.name));
  return html`<section class="card" aria-labelledby="family-title"><h2 id="family-title">Family</h2>
    <p class="soft small">Runs that went on from another one, or tried a fix of it. Lower bits per byte are better.</p>
    <ul class="family plain">${roots.map((run) => html`<${Branch} key=${run.name} run=${run} parent=${null} children=${children} seen=${[]}/>`)}</ul></section>`;
}

/** @param {{run: any, parent: any, children: Map<string, any[]>, seen: string[]}} props */
function Branch({ run, parent, children, seen }) {
  const below = seen.includes(run.name) ? [] : children.get(run.name) || [];
  const change = parent && parent.text === run.text && run.bits_per_byte != null && parent.bits_per_byte != null ? run.bits_per_byte - parent.bits_per_byte : null;
  const words = change == null ? "" : Math.abs(change) < 0.0005 ? "as good as before" : change < 0 ? `better by ${(-change).toFixed(3)}` : `worse by ${change.toFixed(3)}`;
  return html`<li><span class="row"><a href=${`#/run/${quoted(run.name)}`}>${run.name}</a><${State} state=${run.state}/>
      ${run.bits_per_byte != null && html`<span class="mono">${fixed(run.bits_per_byte)}</span>`}${words && html`<span class=${change < 0 ? "better small" : "soft small"}>${words}</span>`}</span>
    ${below.length > 0 && html`<ul class="plain">${below.map((one) => html`<${Branch} key=${one.name} run=${one} parent=${run} children=${children} seen=${[...seen, run.name]}/>`)}</ul>`}</li>`;
}
