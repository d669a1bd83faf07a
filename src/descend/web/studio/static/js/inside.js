// Look inside: what goes on in a model while it reads a sentence, at any time of its training.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { useAnswer } from "./answers.js";
import { get, quoted } from "./api.js";
import { bytes, whole } from "./format.js";
import { Gradients } from "./inside_gradients.js";
import { Heads, Lens, Neighbors, Sentence } from "./inside_parts.js";
import { sayError } from "./ui.js";

const PLAY_MILLISECONDS = 700;
const LOOK_MILLISECONDS = 15_000;
const FIRST_TEXT = "Once upon a time there was a little girl named Lily.";

/** @param {{name: string}} props */
export function Inside({ name }) {
  const [runs, setRuns] = useState(null);
  useEffect(() => {
    get("/runs").then((answer) => setRuns(answer.runs.filter((run) => run.can_talk || run.epochs || run.state === "running"))).catch(sayError);
  }, []);
  if (!runs) return html`<h1>Look inside</h1><p class="soft" role="status"><span class="spin"></span>Looking for models …</p>`;
  const known = runs.some((run) => run.name === name) ? name : "";
  if (!runs.length) return html`<div class="card stack"><h1>Nothing to look into yet</h1><p>Here you see what goes on inside a model while it reads. <a href="#/start">Train one first.</a></p></div>`;
  const run = known || runs[0].name;
  return html`<div class="stack inside">
    <div class="row between"><h1>Look inside a model</h1>
      <div class="row"><label for="inside-run">Model</label><div><select id="inside-run" value=${run} onChange=${(event) => { location.hash = `#/inside/${quoted(event.target.value)}`; }}>
        ${runs.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select></div></div></div>
    <${Looking} key=${run} name=${run}/>
  </div>`;
}

/** @param {{name: string}} props */
function Looking({ name }) {
  const [kept, setKept] = useState(null);
  const [problem, setProblem] = useState("");
  const [text, setText] = useState(FIRST_TEXT);
  const [isTwo, setTwo] = useState(false);
  const [token, setToken] = useState(1);
  useEffect(() => {
    // A beginning from the text that the run is judged by, until one is typed.
    get(`/runs/${quoted(name)}`).then(({ summary }) => {
      const prompt = summary && summary.samples.length ? summary.samples[0].prompt.trim() : "";
      if (prompt) setText((now) => (now === FIRST_TEXT ? prompt : now));
    }, sayError);
  }, []);
  useEffect(() => {
    const load = () => get(`/runs/${quoted(name)}/weights`).then((answer) => { setKept(answer); setProblem(""); }, (error) => setProblem(error.message));
    load();
    const timer = setInterval(load, LOOK_MILLISECONDS); // a run that trains keeps more
    return () => clearInterval(timer);
  }, []);
  if (problem && !kept) return html`<p class="note bad" role="alert">${problem}</p>`;
  if (!kept) return html`<p class="soft" role="status"><span class="spin"></span>Opening ${name} …</p>`;
  if (!kept.weights.length) return html`<div class="card"><p>This run has kept no weights yet. Look again in a moment.</p></div>`;
  const last = kept.weights.length - 1;
  const shared = { name, kept, text, token, onToken: setToken };
  return html`
    <section class="card stack" aria-label="Sentence">
      <div class="ask"><div><label for="sentence">Your sentence</label>
        <input id="sentence" value=${text} maxlength="2000" autocomplete="off" onInput=${(event) => setText(event.target.value)}/></div>
        <button aria-pressed=${isTwo ? "true" : "false"} class=${isTwo ? "main" : ""} onClick=${() => setTwo(!isTwo)}>Two moments side by side</button></div>
      <p class="soft small">The model reads it token by token. Below you see what it makes of it.</p>
    </section>
    <div class=${isTwo ? "cols half moments" : "moments"}>
      ${isTwo && html`<${Moment} key="early" ...${shared} side="Earlier" first=${Math.min(2, last)} isNarrow=${true}/>`}
      <${Moment} key="late" ...${shared} side=${isTwo ? "Later" : ""} first=${last} isNarrow=${isTwo}/>
    </div>
    <${Gradients} name=${name}/>
    <p class="soft small">${kept.snapshot_bytes
      ? `While it trained, this run kept its weights ${kept.weights.filter((one) => one.kind === "snapshot").length} times, each time twice as late. They take ${bytes(kept.snapshot_bytes)}.`
      : "This run kept only its newest checkpoints. Small networks that are trained from now on keep more moments."}</p>`;
}

/** @param {any} weights */
const momentName = (weights) => (weights.kind === "model" ? `the finished model (step ${whole(weights.step)})` : weights.step === 0 ? "before training" : `after step ${whole(weights.step)}`);

/**
 * One moment of training: its slider, and everything that is seen of it.
 * @param {{name: string, kept: any, text: string, token: number, onToken: (index: number) => void, side: string, first: number, isNarrow: boolean}} props
 */
function Moment({ name, kept, text, token, onToken, side, first, isNarrow }) {
  const [index, setIndex] = useState(first);
  const [part, setPart] = useState(null);
  const [head, setHead] = useState({ layer: 1, head: 1 });
  const [isPlaying, setPlaying] = useState(false);
  const last = kept.weights.length - 1;
  const weights = kept.weights[Math.min(index, last)];
  const { data, problem, isBusy } = useAnswer(`/runs/${quoted(name)}/inspect`, { weights: weights.id, text, ...(part || {}) });
  const intact = useAnswer(`/runs/${quoted(name)}/inspect`, { weights: weights.id, text }, part == null);
  const effects = useAnswer(`/runs/${quoted(name)}/ablations`, { weights: weights.id, text }, isPlaying);
  useEffect(() => {
    if (!isPlaying || isBusy) return undefined;
    if (index >= last) { setPlaying(false); return undefined; }
    const timer = setTimeout(() => setIndex(index + 1), PLAY_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [isPlaying, isBusy, index]);
  const play = () => { if (!isPlaying && index >= last) setIndex(0); setPlaying(!isPlaying); };
  const id = side || "moment";
  const chosen = data ? Math.min(token, data.tokens.length - 1) : 0;
  return html`<section class="stack moment" aria-label=${side || "Moment of training"}>
    <div class="card stack">
      <div><div class="row between"><label for=${`time-${id}`}>${side ? `${side}: ` : ""}<strong>${momentName(weights)}</strong></label>
        <button onClick=${play} disabled=${last === 0}>${isPlaying ? "Pause" : "Play"}</button></div>
        <input id=${`time-${id}`} type="range" min="0" max=${last} step="1" value=${index} aria-valuetext=${momentName(weights)}
          onInput=${(event) => { setPlaying(false); setIndex(Number(event.target.value)); }}/>
        <div class="row between soft small" aria-hidden="true"><span>start</span><span>end of training</span></div></div>
      ${problem && html`<p class="note bad" role="alert">${problem}</p>`}
      ${!data && !problem && html`<p class="soft" role="status"><span class="spin"></span>Opening the model …</p>`}
      ${data && html`<div class=${isBusy ? "stack stale" : "stack"} aria-busy=${isBusy ? "true" : "false"}>
        <${Sentence} inspection=${data} chosen=${chosen} onChoose=${onToken}/>
        <${Off} part=${part} before=${intact.data} now=${data} onBack=${() => setPart(null)}/>
        <div><h2>It would go on like this</h2><p class="sample"><span class="prompt">${data.tokens.slice(-6).map((one) => one.text).join("")}</span>${data.continuation}</p></div></div>`}
    </div>
    ${data && html`<div class=${isNarrow ? "stack" : "cols half"}>
      <div class="card"><${Lens} inspection=${data} chosen=${chosen}/></div>
      <div class="card"><${Neighbors} name=${name} weights=${weights.id} token=${data.tokens[chosen]}/></div></div>
      <div class="card"><${Heads} inspection=${data} chosen=${chosen} effects=${effects.data && effects.data.effects} picked=${head} onPick=${setHead} part=${part} onPart=${setPart} isNarrow=${isNarrow}/></div>`}
  </section>`;
}

/** What changed when a part was switched off. @param {{part: any, before: any, now: any, onBack: () => void}} props */
function Off({ part, before, now, onBack }) {
  if (!part) return null;
  const words = part.head == null ? `all of layer ${part.layer}` : `head ${part.head} of layer ${part.layer}`;
  const change = before ? now.mean_loss - before.mean_loss : null;
  const size = change == null ? "" : Math.abs(change) < 0.005 ? "That hardly matters for this sentence." : `Its mean surprise goes from ${before.mean_loss.toFixed(2)} to ${now.mean_loss.toFixed(2)}.`;
  return html`<div class="note warn" role="status"><p>Switched off: <strong>${words}</strong>. ${size}</p>
    ${before && html`<p>With it the model would write: <q class="serif">${before.continuation.trim()}</q></p>`}
    <p><button onClick=${onBack}>Switch it on again</button></p></div>`;
}
