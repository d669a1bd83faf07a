// The handbook: every page by its group, and what this computer is.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get } from "./api.js";
import { bytes } from "./format.js";
import { Explain, sayError } from "./ui.js";

export function Handbook() {
  const [pages, setPages] = useState(null);
  const [query, setQuery] = useState("");
  useEffect(() => { get("/pages").then((answer) => setPages(answer.pages), sayError); }, []);
  if (!pages) return html`<p class="soft" role="status"><span class="spin"></span>Opening the handbook …</p>`;
  const wanted = query.toLowerCase().trim();
  const matching = pages.filter((page) => `${page.name} ${page.title}`.toLowerCase().replace(/_/g, " ").includes(wanted.replace(/_/g, " ")));
  const groups = [...new Set(matching.map((page) => page.group))];
  return html`<div class="stack"><div class="row between"><h1>Handbook</h1><a class="button" href="#/learn">The lessons</a></div>
    <section class="card stack" aria-label="Pages"><div><label class="hidden-label" for="page-search">Search</label><input id="page-search" type="search" placeholder="Search the pages" value=${query} onInput=${(event) => setQuery(event.target.value)}/></div>
      ${!matching.length && html`<p class="soft">No page has this in its title.</p>`}
      ${groups.map((group) => html`<div key=${group}><h2>${group}</h2><ul class="plain pages">${matching.filter((page) => page.group === group).map((page) => html`<li key=${page.name}><${Explain} name=${page.name} title=${page.title} label=${page.title}/></li>`)}</ul></div>`)}</section>
    <${Environment}/></div>`;
}

function Environment() {
  const [facts, setFacts] = useState(null);
  const open = (event) => { if (event.target.open && !facts) get("/environment").then(setFacts, sayError); };
  return html`<details class="card" onToggle=${open}><summary>This computer</summary>
    ${!facts ? html`<p class="soft" role="status"><span class="spin"></span>Looking at this computer …</p>` : html`<ul><li>${facts.processor}, ${facts.cores} cores, ${bytes(facts.memory_available_bytes)} free</li><li>${facts.system}</li><li>descend ${facts.descend}, Python ${facts.python}</li>
      ${facts.devices.map((device) => html`<li key=${device.id}>Device ${device.id}${device.name ? `: ${device.name}` : ""}</li>`)}
      <li>${Object.entries(facts.packages).filter(([, version]) => version).map(([name, version]) => `${name} ${version}`).join(", ")}</li></ul>`}</details>`;
}
