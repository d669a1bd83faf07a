// Start: a text, a time, and Train.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, post, quoted } from "./api.js";
import { bytes, duration, fixed, part, short, whole } from "./format.js";
import { DropZone } from "./drop.js";
import { MakeText, SharedTokenizer } from "./start_tools.js";
import { Figures, handbook, Meter, sayError } from "./ui.js";

const MINUTES = [1, 2, 3, 5, 8, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 480, 720, 1440];
const ASK_AFTER = 250;

export function Start() {
  const [texts, setTexts] = useState(null);
  const [text, setText] = useState("");
  const [minutes, setMinutes] = useState(5);
  const [settings, setSettings] = useState({});
  const [tokenizer, setTokenizer] = useState("");
  const [isStarting, setStarting] = useState(false);
  const load = () => get("/texts").then((answer) => setTexts(answer.texts)).catch(sayError);
  useEffect(() => { load(); }, []);

  const start = async () => {
    setStarting(true);
    try {
      // A tokenizer that is made has its own kind and size.
      const own = Object.entries(settings).filter(([key]) => !(tokenizer && ["tokenizer", "vocab_size"].includes(key)));
      const { run } = await post("/runs", { text, minutes, settings: Object.fromEntries(own), ...(tokenizer ? { tokenizer_file: tokenizer } : {}) });
      location.hash = `#/run/${quoted(run)}`;
    } catch (problem) {
      sayError(problem);
      setStarting(false);
    }
  };
  return html`<div class="stack steps">
    <div><h1>Train your own language model</h1>
      <p class="soft">It reads a text again and again, and learns to guess how the text goes on.</p></div>
    <section class="card" aria-labelledby="choose-text"><h2 id="choose-text">Choose a text</h2>
      <div class="texts">
        ${(texts || []).map((one) => html`<button key=${one.name} class="choice" aria-pressed=${one.name === text ? "true" : "false"} onClick=${() => setText(one.name)}>
          <strong>${one.name}</strong><span class="soft small">${one.description || (one.files == null ? bytes(one.bytes) : `${whole(one.files)} ${one.files === 1 ? "file" : "files"}, ${bytes(one.bytes)}`)}</span></button>`)}
        <${DropZone} onText=${(name) => { load(); setText(name); }}/>
      </div>
      ${text && html`<${Statistics} key=${text} name=${text}/>`}
      ${texts && html`<${MakeText} texts=${texts} onText=${(name) => { load(); setText(name); }}/>`}
    </section>
    <section class="card" aria-labelledby="choose-time"><h2 id="choose-time">Choose a time</h2>
      <div class="dial">
        <output for="minutes">${duration(60 * minutes)}</output>
        <div><label class="hidden-label" for="minutes">Time to train</label>
        <input id="minutes" type="range" min="0" max=${MINUTES.length - 1} step="1" value=${MINUTES.indexOf(minutes)}
          aria-valuetext=${duration(60 * minutes)} onInput=${(event) => setMinutes(MINUTES[Number(event.target.value)])}/></div>
      </div>
      ${text ? html`<${Plan} key=${text} text=${text} minutes=${minutes} settings=${settings}/>` : html`<p class="soft">Choose a text first. Then a plan appears here.</p>`}
      <${Settings} values=${settings} onChange=${setSettings}><${SharedTokenizer} text=${text} value=${tokenizer} onChange=${setTokenizer}/><//>
    </section>
    <section class="card go" aria-labelledby="train"><div><h2 id="train">Train</h2>
        <p class="soft small">${text ? `${text}, for ${duration(60 * minutes)}${Object.keys(settings).length ? ", with your settings" : ""}${tokenizer ? `, with the tokenizer ${tokenizer}` : ""}. It goes on when you close this page.` : "Choose a text first."}</p></div>
      <button class="main big" disabled=${!text || isStarting} onClick=${start}>${isStarting ? "Starting …" : "Train"}</button>
    </section>
  </div>`;
}

/** @param {{name: string}} props */
function Statistics({ name }) {
  const [facts, setFacts] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let isCurrent = true;
    get(`/texts/${quoted(name)}/statistics`)
      .then((answer) => isCurrent && setFacts(answer), (error) => isCurrent && setProblem(error.message));
    return () => { isCurrent = false; };
  }, []);
  if (problem) return html`<p class="note bad" role="alert">${problem}</p>`;
  if (!facts) return html`<p class="soft" role="status"><span class="spin"></span>Reading ${name} …</p>`;
  return html`<div><${Figures} items=${[
      ["Size", bytes(facts.bytes)], ["Documents", whole(facts.documents)], ["Tokens", short(facts.tokens)],
      ["Different tokens", whole(facts.vocab_size)],
    ]}/>
    <p class="soft small">A token is a word or a piece of one. The most frequent here:
      ${facts.frequent_tokens.slice(0, 12).map((one) => html` <code key=${one.token}>${one.token.trim() ? one.token : JSON.stringify(one.token)}</code>`)}</p>
    ${facts.duplicate_fraction > 0.05 && html`<p class="note warn">${Math.round(100 * facts.duplicate_fraction)} % of the text stands in it more than once.</p>`}</div>
  <${Excerpt} tokens=${facts.excerpt_tokens}/>`;
}

/** The beginning of the text, token by token. @param {{tokens: string[]}} props */
function Excerpt({ tokens }) {
  if (!tokens.length) return null;
  return html`<h3>How the model sees it</h3><p class="soft small">The text is cut into tokens. Each color is one.</p>
    <p class="excerpt" tabindex="0" role="group" aria-label="Beginning of the text">${tokens.map((token, index) => html`<span key=${index} class=${`t t${index % 4}`}>${token}</span>`)} …</p>`;
}

/** @param {{text: string, minutes: number, settings: object}} props */
function Plan({ text, minutes, settings }) {
  const [plan, setPlan] = useState(null);
  const [problem, setProblem] = useState("");
  const [isMeasuring, setMeasuring] = useState(true);
  useEffect(() => {
    let isCurrent = true;
    setMeasuring(true);
    setProblem("");
    const timer = setTimeout(() => {
      post("/plan", { text, minutes, settings: cleaned(settings) }).then(
        (answer) => { if (isCurrent) { setPlan(answer); setMeasuring(false); } },
        (error) => { if (isCurrent) { setProblem(error.message); setMeasuring(false); } },
      );
    }, ASK_AFTER);
    return () => { isCurrent = false; clearTimeout(timer); };
  }, [text, minutes, JSON.stringify(settings)]);
  if (problem) return html`<p class="note bad" role="alert">${problem}</p>`;
  if (!plan || plan.minutes !== minutes) {
    return html`<p class="soft" role="status"><span class="spin"></span>${isMeasuring ? "Looking at the text and at how quick this computer is. The first time takes half a minute." : ""}</p>`;
  }
  if (plan.too_short) return html`<p class="note warn">This text is too short to plan for. Training uses the default settings, and may memorize it. More text helps.</p>`;
  const { predicted, config } = plan;
  const expected = plan.final_bits_per_byte;
  const [low, high] = predicted.bits_per_byte_interval.map((bound) => (bound * expected) / predicted.bits_per_byte);
  const rows = [
    { name: "knows frequent tokens", value: plan.unigram_bits_per_byte },
    { name: "looks at the last token", value: plan.bigram_bits_per_byte },
    { name: "your model, expected", value: expected, good: true },
  ];
  return html`<div class="cols half" aria-busy=${isMeasuring ? "true" : "false"}>
    <div><p class="sentence">A network with <strong>${config.num_layers} ${config.num_layers === 1 ? "layer" : "layers"}</strong> and <strong>${short(predicted.parameters)} parameters</strong> will read ${predicted.num_epochs < 1 ? html`<strong>${part(predicted.num_epochs)}</strong> of the text` : html`the text <strong>${predicted.num_epochs.toFixed(1)} times</strong>`}.</p>
      ${plan.num_models > 1 && html`<p>Reading it more often would only memorize it. So <strong>${plan.num_models} models</strong> are trained one after the other, and each later one learns from those before it too. The last one is yours.</p>`}
      <p class="soft small">${whole(predicted.steps)} steps of ${whole(config.batch_size * config.seq_len)} tokens. The first ${duration(plan.setup_seconds)} go into getting ready. Then this computer is timed again, so the network can differ where it is busy now.</p></div>
    <div><h3>Expected result</h3><${Meter} rows=${rows} max=${Math.max(plan.unigram_bits_per_byte, high)}/>
      <p class="soft small">Loss in bits per byte. Lower is better. The gray bars are simple rules that the model has to beat. With 80 % certainty it ends between ${fixed(low, 2)} and ${fixed(high, 2)}.</p></div>
  </div>`;
}

/** Settings without those that are empty. @param {Record<string, any>} values */
const cleaned = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "" && value != null));

/** @param {{values: Record<string, any>, onChange: (values: object) => void, children?: any}} props */
function Settings({ values, onChange, children }) {
  const [fields, setFields] = useState([]);
  const [isAll, setAll] = useState(false);
  const [presets, setPresets] = useState({});
  useEffect(() => { get("/presets").then((answer) => setPresets(answer.presets)).catch(sayError); }, []);
  useEffect(() => { get("/settings").then((answer) => setFields(answer.settings)).catch(sayError); }, []);
  const set = (key, value) => onChange(cleaned({ ...values, [key]: value }));
  const count = Object.keys(values).length;
  const open = (key) => get(`/pages/${quoted(key)}`).then((page) => { handbook.value = page; }).catch(sayError);
  return html`<details><summary>Settings${count ? ` (${count} changed)` : ""}</summary>
    <p class="soft small">What you leave empty is chosen for you.</p>
    <div class="row small-choices" role="group" aria-label="Begin with a preset"><span>Begin with the values of a preset:</span>${Object.entries(presets).filter(([, preset]) => Object.keys(preset).length).map(([name, preset]) => html`<button key=${name} type="button" onClick=${() => onChange(cleaned(preset))}>${name}</button>`)}</div>
    <div class="settings">${fields.filter((field) => isAll || field.first).map((field) => html`<div class="field" key=${field.key}>
      <label for=${`set-${field.key}`}>${field.title}</label>
      <${Field} field=${field} value=${values[field.key]} onChange=${(value) => set(field.key, value)}/>
      <span class="soft small" id=${`about-${field.key}`}>${field.sentence}${field.range && field.kind !== "choice" ? ` Range: ${field.range}.` : ""}
        ${field.has_page && html` <button class="link" type="button" aria-label=${`More about ${field.title}`} onClick=${() => open(field.key)}>More</button>`}</span>
    </div>`)}</div>
    <p class="row"><button type="button" onClick=${() => setAll(!isAll)}>${isAll ? "Fewer settings" : "All settings"}</button>
      ${count > 0 && html`<button type="button" onClick=${() => onChange({})}>Reset</button>`}</p>
    ${children}
  </details>`;
}

/** @param {{field: any, value: any, onChange: (value: any) => void}} props */
function Field({ field, value, onChange }) {
  const shared = { id: `set-${field.key}`, "aria-describedby": `about-${field.key}` };
  const options = field.kind === "boolean" ? ["true", "false"] : field.choices;
  if (options) {
    const read = (text) => (text === "" ? "" : field.kind === "boolean" ? text === "true" : text);
    return html`<select ...${shared} value=${value == null ? "" : String(value)} onChange=${(event) => onChange(read(event.target.value))}>
      <option value="">chosen for you</option>${options.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`;
  }
  const isNumber = field.kind === "integer" || field.kind === "number";
  const read = (text) => (text === "" || !isNumber ? text : Number(text));
  return html`<input ...${shared} type=${isNumber ? "number" : "text"} step=${field.kind === "integer" ? 1 : "any"} value=${value ?? ""}
    placeholder="chosen for you" onInput=${(event) => onChange(read(event.target.value))}/>`;
}
