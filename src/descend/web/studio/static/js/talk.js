// Talk: a model goes on with a text, token by token, or in turns.

import { html, useEffect, useRef, useState } from "/static/vendor/preact.min.js";
import { generate, get, quoted } from "./api.js";
import { likely } from "./format.js";
import { sayError } from "./ui.js";

const SLIDERS = [
  { key: "temperature", title: "Temperature", low: 0.1, high: 2, step: 0.05, value: 0.9, meaning: "Low: safe and dull. High: bold and wild." },
  { key: "top_k", title: "Top k", low: 0, high: 100, step: 1, value: 40, meaning: "How many of the likeliest tokens it chooses from. 0: all." },
  { key: "top_p", title: "Top p", low: 0.05, high: 1, step: 0.01, value: 0.92, meaning: "It chooses from the likeliest tokens that have this probability together." },
  { key: "max_new_tokens", title: "Length", low: 10, high: 500, step: 10, value: 100, meaning: "How many tokens it writes at most." },
];
const MORE_SLIDERS = [
  { key: "repetition_penalty", title: "Repetition penalty", low: 1, high: 2, step: 0.05, value: 1.3, meaning: "Above 1 it repeats itself less." },
  { key: "no_repeat_ngram_size", title: "Never repeat", low: 0, high: 10, step: 1, value: 3, meaning: "How many tokens in a row it never writes twice. 0: it may." },
  { key: "min_p", title: "Min p", low: 0, high: 0.5, step: 0.01, value: 0, meaning: "It drops tokens that are less likely than this part of the likeliest one." },
];
const POPOVER_HEIGHT = 300;
const FIRST_PROMPT = "Once upon a time";
const DEFAULTS = { ...Object.fromEntries([...SLIDERS, ...MORE_SLIDERS].map((one) => [one.key, one.value])), greedy: false, seed: null };

/** @param {{name: string}} props */
export function Talk({ name }) {
  const [runs, setRuns] = useState(null);
  const [model, setModel] = useState(name);
  const [other, setOther] = useState("");
  const [isChat, setChat] = useState(false);
  const [settings, setSettings] = useState(DEFAULTS);
  useEffect(() => {
    get("/runs").then(({ runs: all }) => {
      const able = all.filter((run) => run.can_talk);
      setRuns(able);
      if (!able.some((run) => run.name === name)) setModel(able.length ? able[0].name : "");
    }).catch(sayError);
  }, []);
  useEffect(() => {
    for (const one of [model, other]) if (one && runs) get(`/runs/${quoted(one)}/model`).catch(sayError);
  }, [model, other, runs]);
  const models = other && other !== model ? [model, other] : [model];
  const unfinished = (runs || []).filter((run) => models.includes(run.name) && run.state !== "finished");
  if (!runs) return html`<p class="soft" role="status"><span class="spin"></span>Looking for models …</p>`;
  if (!runs.length) return html`<div class="card stack"><h1>Nobody to talk to yet</h1><p>A model can write once its run has saved it for the first time. <a href="#/start">Train one.</a></p></div>`;
  return html`<div class="stack">
    <div class="row between"><h1>Talk to a model</h1>
      <div class="row"><label for="model">Model</label><div><select id="model" value=${model} onChange=${(event) => setModel(event.target.value)}>
        ${runs.map((run) => html`<option key=${run.name} value=${run.name}>${run.name}</option>`)}</select></div>
        ${runs.length > 1 && html`<label for="other">beside</label><div><select id="other" value=${other} onChange=${(event) => setOther(event.target.value)}>
          <option value="">nobody else</option>${runs.filter((run) => run.name !== model).map((run) => html`<option key=${run.name} value=${run.name}>${run.name}</option>`)}</select></div>`}</div></div>
    ${unfinished.map((run) => html`<p class="note" key=${run.name}>${run.name} ${run.state === "model lost" ? "has lost its model" : "is not finished"}. You talk to what it had learned when it last saved.</p>`)}
    <div class="row" role="group" aria-label="Kind of talk">
      <button class=${isChat ? "" : "main"} aria-pressed=${isChat ? "false" : "true"} onClick=${() => setChat(false)}>Go on with my text</button>
      <button class=${isChat ? "main" : ""} aria-pressed=${isChat ? "true" : "false"} onClick=${() => setChat(true)}>Take turns</button></div>
    <div class="cols two">
      ${isChat ? html`<${Turns} key=${`chat ${models.join("/")}`} models=${models} settings=${settings}/>` : html`<${GoOn} key=${`text ${models.join("/")}`} models=${models} settings=${settings}/>`}
      <${Sampling} settings=${settings} onChange=${setSettings}/>
    </div>
  </div>`;
}

/**
 * What one model writes, and what stops it.
 * @param {string} model @param {object} settings
 */
function useAnswer(model, settings) {
  const [tokens, setTokens] = useState([]);
  const [isBusy, setBusy] = useState(false);
  const control = useRef(null);
  useEffect(() => () => control.current && control.current.abort(), []);
  const write = async (prompt, first = []) => {
    if (!model) return [];
    if (control.current) control.current.abort();
    const own = new AbortController();
    control.current = own;
    let all = first;
    setTokens(all);
    setBusy(true);
    try {
      await generate(model, { prompt: prompt + first.map((t) => t.text).join(""), ...settings }, (more) => {
        all = [...all, ...more];
        if (control.current === own) setTokens(all);
      }, own.signal);
    } catch (problem) {
      if (!own.signal.aborted) sayError(problem);
    }
    if (control.current === own) setBusy(false);
    return all;
  };
  return { model, tokens, setTokens, isBusy, write, stop: () => control.current && control.current.abort() };
}

/** The answers of one model, or of two side by side. @param {string[]} models @param {object} settings */
function useAnswers(models, settings) {
  const first = useAnswer(models[0], settings), second = useAnswer(models[1] || "", settings);
  return models.length > 1 ? [first, second] : [first];
}

/** @param {{models: string[], settings: object}} props */
function GoOn({ models, settings }) {
  const [prompt, setPrompt] = useState(FIRST_PROMPT);
  const [given, setGiven] = useState("");
  const isMine = useRef(false); // begun to type, or written on
  const answers = useAnswers(models, settings);
  const isBusy = answers.some((answer) => answer.isBusy);
  useEffect(() => {
    // A beginning from the text that the model is judged by, until one is typed.
    if (!models[0]) return;
    get(`/runs/${quoted(models[0])}`).then(({ summary }) => {
      const own = summary && summary.samples.length ? summary.samples[0].prompt.trim() : "";
      if (own && !isMine.current) setPrompt(own);
    }, sayError);
  }, []);
  const start = () => { isMine.current = true; setGiven(prompt); for (const answer of answers) answer.write(prompt); };
  const stop = () => { for (const answer of answers) answer.stop(); };
  const another = (answer) => (index, alternative) => answer.write(given, [...answer.tokens.slice(0, index), { ...answer.tokens[index], text: alternative.text, probability: alternative.probability }]);
  return html`<section class="card stack" aria-label="Go on with my text">
    <div><label for="prompt">Your beginning</label>
      <textarea id="prompt" rows="3" maxlength="20000" value=${prompt} onFocus=${() => { isMine.current = true; }} onInput=${(event) => setPrompt(event.target.value)}
        onKeyDown=${(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) start(); }}></textarea></div>
    <div class="row">${isBusy ? html`<button onClick=${stop}>Stop</button>` : html`<button class="main" onClick=${start}>Write on</button>`}
      <span class="soft small">${models.length > 1 ? "Each only knows its own text." : "It only knows its own text, and goes on in the same manner."}</span></div>
    <div class=${answers.length > 1 ? "cols half" : ""}>${answers.map((answer) => html`<div key=${answer.model} class=${answers.length > 1 ? "beside" : ""} role=${answers.length > 1 ? "group" : undefined} aria-label=${answers.length > 1 ? answer.model : undefined}>
      ${answers.length > 1 && html`<h2>${answer.model}</h2>`}
      <${Answer} given=${given} tokens=${answer.tokens} isBusy=${answer.isBusy} onChoose=${another(answer)}/>
      ${answers.length > 1 && answer.tokens.length > 0 && html`<${MeanChance} tokens=${answer.tokens}/>`}</div>`)}</div>
  </section>`;
}

/** How sure it was, all in all. @param {{tokens: any[]}} props */
function MeanChance({ tokens }) {
  const mean = Math.exp(tokens.reduce((sum, token) => sum + Math.log(Math.max(token.probability, 1e-9)), 0) / tokens.length);
  return html`<p class="soft small">It wrote ${tokens.length} tokens. On average it gave each a chance of ${likely(mean)}.</p>`;
}

/** @param {{models: string[], settings: object}} props */
function Turns({ models, settings }) {
  const [turns, setTurns] = useState([]);
  const [line, setLine] = useState("");
  const answers = useAnswers(models, settings);
  const isBusy = answers.some((answer) => answer.isBusy);
  /** What a model has read: my lines and its own. */
  const past = (all, index) => all.map((turn) => (turn.who === "me" ? turn.text : turn.answers[index].map((t) => t.text).join(""))).join("\n");
  const send = async (event) => {
    event.preventDefault();
    if (!line.trim() || isBusy) return;
    const all = [...turns, { who: "me", text: line }];
    setTurns(all);
    setLine("");
    const written = await Promise.all(answers.map((answer, index) => answer.write(past(all, index))));
    setTurns([...all, { who: "model", answers: written }]);
    for (const answer of answers) answer.setTokens([]);
  };
  const beside = (lists, busy) => html`<div class=${lists.length > 1 ? "cols half" : "stack"}>${lists.map((tokens, index) => html`<div key=${index} class="turn">
    ${lists.length > 1 && html`<p class="soft small">${models[index]}</p>`}<${Answer} given="" tokens=${tokens} isBusy=${busy && answers[index].isBusy}/></div>`)}</div>`;
  return html`<section class="card stack" aria-label="Take turns">
    <p class="soft small">${models.length > 1 ? "They were never taught to answer. Each writes what might come next in its text." : "It was never taught to answer. It writes what might come next in its text."}</p>
    <div class="stack" aria-live="polite">
      ${turns.map((turn, index) => (turn.who === "me" ? html`<div key=${index} class="turn mine"><p>${turn.text}</p></div>` : html`<div key=${index}>${beside(turn.answers, false)}</div>`))}
      ${answers.some((answer) => answer.tokens.length) && beside(answers.map((answer) => answer.tokens), true)}
    </div>
    <form class="row" onSubmit=${send}><div class="grow"><label class="hidden-label" for="line">Your turn</label>
      <input id="line" value=${line} maxlength="2000" placeholder="Write something" autocomplete="off" onInput=${(event) => setLine(event.target.value)}/></div>
      ${isBusy ? html`<button type="button" onClick=${() => { for (const answer of answers) answer.stop(); }}>Stop</button>` : html`<button class="main">Send</button>`}
      ${turns.length > 0 && html`<button type="button" onClick=${() => setTurns([])}>New talk</button>`}</form>
  </section>`;
}

/** Each token with its probability; arrow keys go from one to the next. @param {{given: string, tokens: any[], isBusy?: boolean, onChoose?: (index: number, alternative: any) => void}} props */
function Answer({ given, tokens, isBusy, onChoose }) {
  const [open, setOpen] = useState(null);
  const place = useRef(null);
  const show = (event, index) => {
    const box = event.currentTarget.getBoundingClientRect();
    const isLow = box.bottom + POPOVER_HEIGHT > innerHeight;
    const vertical = isLow ? { bottom: `${innerHeight - box.top + 4}px` } : { top: `${box.bottom + 4}px` };
    setOpen({ index, style: { left: `${Math.max(8, Math.min(box.left, innerWidth - 262))}px`, ...vertical } });
  };
  const onKey = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") setOpen(null);
    if (!step || !event.target.classList.contains("token")) return;
    const all = [...place.current.querySelectorAll(".token")];
    const next = all[all.indexOf(event.target) + step];
    if (next) { next.focus(); event.preventDefault(); }
  };
  const token = open && tokens[open.index];
  return html`<div ref=${place} onKeyDown=${onKey} onMouseLeave=${() => setOpen(null)}>
    <div class="answer" aria-busy=${isBusy ? "true" : "false"}><span class="given">${given}</span>${tokens.map((one, index) => html`<span key=${index} role="button"
      class=${`token ${shade(one.probability)} ${one.text.includes("\n") ? "newline" : ""}`} tabindex=${index === 0 ? 0 : -1} aria-expanded=${open && open.index === index ? "true" : "false"}
      aria-label=${one.text.trim() ? one.text : JSON.stringify(one.text)}
      onMouseEnter=${(event) => show(event, index)} onFocus=${(event) => show(event, index)} onClick=${(event) => show(event, index)}>${one.text}</span>`)}${isBusy && html`<span class="spin" aria-hidden="true"></span>`}</div>
    ${token && html`<div class="popover" style=${open.style} role="group" aria-label="Probabilities">
      <div><strong>${likely(token.probability)}</strong> likely here</div>
      ${token.alternatives.map((one, index) => html`<button key=${index} type="button" disabled=${!onChoose || isBusy} onClick=${() => { setOpen(null); onChoose(open.index, one); }}>
        <span class="mono">${one.text.trim() ? one.text : JSON.stringify(one.text)}</span><span>${likely(one.probability)}</span></button>`)}
      ${onChoose && html`<p class="soft small">Choose another token, and it goes on from there.</p>`}</div>`}
  </div>`;
}

/** @param {number} probability */
const shade = (probability) => (probability < 0.05 ? "p0" : probability < 0.3 ? "p1" : probability < 0.8 ? "p2" : "");

/** @param {{settings: Record<string, any>, onChange: (settings: object) => void}} props */
function Sampling({ settings, onChange }) {
  const isChanged = Object.entries(DEFAULTS).some(([key, value]) => settings[key] !== value);
  const isOff = (key) => settings.greedy && ["temperature", "top_k", "top_p", "min_p"].includes(key);
  const slider = (one) => html`<div key=${one.key} class="slider"><div class="row between"><label for=${one.key}>${one.title}</label><output class="mono" for=${one.key}>${settings[one.key]}</output></div>
      <input id=${one.key} type="range" min=${one.low} max=${one.high} step=${one.step} value=${settings[one.key]} disabled=${isOff(one.key)} aria-describedby=${`${one.key}-meaning`}
        onInput=${(event) => onChange({ ...settings, [one.key]: Number(event.target.value) })}/>
      <p class="soft small" id=${`${one.key}-meaning`}>${one.meaning}</p></div>`;
  const readSeed = (text) => (/^\d{1,15}$/.test(text) ? Number(text) : null);
  return html`<section class="card stack" aria-labelledby="sampling-title"><h2 id="sampling-title">How it chooses</h2>
    ${SLIDERS.map(slider)}
    <details><summary>More</summary><div class="stack">
      ${MORE_SLIDERS.map(slider)}
      <label class="row"><input type="checkbox" checked=${settings.greedy} onChange=${(event) => onChange({ ...settings, greedy: event.target.checked })}/>Greedy: always the likeliest token</label>
      <div><label for="seed">Seed</label><input id="seed" inputmode="numeric" autocomplete="off" placeholder="a new one each time" value=${settings.seed ?? ""} aria-describedby="seed-meaning" onInput=${(event) => onChange({ ...settings, seed: readSeed(event.target.value) })}/>
        <p class="soft small" id="seed-meaning">With the same seed it writes the same text again.</p></div></div></details>
    ${isChanged && html`<p><button onClick=${() => onChange(DEFAULTS)}>Reset</button></p>`}
    <p class="soft small">Colors: <span class="token p0">under 5 %</span> <span class="token p1">under 30 %</span> <span class="token p2">under 80 %</span>. Point at a token to see what else was likely.</p>
  </section>`;
}
