// A model for others: uploaded to the Hugging Face hub, or served to other programs.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, poll, post } from "./api.js";
import { sayError } from "./ui.js";

const LOOK_MILLISECONDS = 1500;

/** @param {{where: string, format?: string}} props */
export function Upload({ where, format = "" }) {
  const [repository, setRepository] = useState("");
  const [isPublic, setPublic] = useState(false);
  const [pushed, setPushed] = useState(null);
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const id = `repository-${format || "model"}`;
  const push = (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    post(`${where}/push`, { repository: repository.trim(), public: isPublic, ...(format ? { format } : {}) }).then(setPushed, (error) => setProblem(error.message)).finally(() => setBusy(false));
  };
  return html`<form class="row" onSubmit=${push}><label for=${id}>Repository</label><input id=${id} class="narrow wide" required placeholder="your-name/my-model" pattern="[A-Za-z0-9][\\w.\\-]*/[A-Za-z0-9][\\w.\\-]*" value=${repository} onInput=${(event) => setRepository(event.target.value)}/>
      <label class="row"><input type="checkbox" checked=${isPublic} onChange=${() => setPublic(!isPublic)}/> for everybody to see</label><button disabled=${isBusy}>Upload</button></form>
    <p class="soft small">The model, its tokenizer, and its card leave this computer. They go to huggingface.co, to the account that is logged in here. Your text stays.</p>
    ${isBusy && html`<p class="soft" role="status"><span class="spin"></span>Uploading the model …</p>`}
    ${problem && html`<p class="note bad" role="alert">${problem}</p>`}
    ${pushed && html`<p role="status">${pushed.files.length} files are in the ${pushed.private ? "private " : ""}repository ${pushed.repository}: <a href=${pushed.url} target="_blank" rel="noreferrer">${pushed.url}</a></p>`}`;
}

/** @param {{where: string}} props */
export function Serve({ where }) {
  const [server, setServer] = useState(null);
  const [attempt, setAttempt] = useState(0);
  const isOn = server && ["starting", "serving"].includes(server.state);
  useEffect(() => (isOn ? poll(`${where}/server`, LOOK_MILLISECONDS, setServer, sayError) : void get(`${where}/server`).then(setServer, sayError)), [isOn, attempt]);
  if (!server) return html`<p class="soft" role="status"><span class="spin"></span>Looking …</p>`;
  const act = (path) => post(`${where}/server${path}`).then(() => setAttempt(attempt + 1), sayError);
  if (!isOn) return html`<p>Programs on this computer that speak the interface of OpenAI can then use the model.</p><p><button onClick=${() => act("")}>Serve it</button></p>
    ${server.problem && html`<p class="note bad" role="alert">${server.problem}</p>`}`;
  return html`${server.state === "starting" ? html`<p class="soft" role="status"><span class="spin"></span>Loading the model …</p>` : html`<p role="status">The model is served until you stop it. Another program needs this:</p>
      <pre class="log" tabindex="0" aria-label="Address and key">${`OPENAI_BASE_URL=${server.url}\nOPENAI_API_KEY=${server.key}`}</pre>`}
    <p><button onClick=${() => act("/stop")}>Stop serving</button></p>`;
}
