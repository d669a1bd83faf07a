// Tags and a note about a run.

import { html, useState } from "/static/vendor/preact.min.js";
import { quoted, request } from "./api.js";
import { say, sayError } from "./ui.js";

/** @param {{tags: string[]}} props */
export function Tags({ tags }) {
  return tags.map((tag) => html` <span class="tag" key=${tag}>${tag}</span>`);
}

/** @param {{name: string, annotation: {tags: string[], note: string}}} props */
export function Annotation({ name, annotation }) {
  const [saved, setSaved] = useState(annotation);
  const [tags, setTags] = useState(annotation.tags.join(", "));
  const [note, setNote] = useState(annotation.note);
  const isChanged = tags !== saved.tags.join(", ") || note !== saved.note;
  const save = async (event) => {
    event.preventDefault();
    try {
      const answer = await request("PUT", `/runs/${quoted(name)}/annotation`, { tags: tags.split(",").map((tag) => tag.trim()).filter(Boolean), note });
      setSaved(answer);
      setTags(answer.tags.join(", "));
      setNote(answer.note);
      say("Saved.");
    } catch (problem) { sayError(problem); }
  };
  return html`<details class="card" open=${Boolean(annotation.tags.length || annotation.note)}><summary>Tags and note<${Tags} tags=${saved.tags}/></summary>
    <form class="stack" onSubmit=${save}>
      <div><label for="tags">Tags, with commas between</label><input id="tags" value=${tags} maxlength="800" autocomplete="off" onInput=${(event) => setTags(event.target.value)}/></div>
      <div><label for="note">Note</label><textarea id="note" rows="3" maxlength="4000" value=${note} onInput=${(event) => setNote(event.target.value)}></textarea></div>
      <p><button class=${isChanged ? "main" : ""} disabled=${!isChanged}>Save</button></p></form></details>`;
}
