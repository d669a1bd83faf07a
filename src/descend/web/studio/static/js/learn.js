// Learn: eight short lessons, each with a question to predict and an experiment that answers it.

import { html, useEffect, useRef, useState } from "/static/vendor/preact.min.js";
import { get, poll, post } from "./api.js";
import { base, Chart, color, scale, SERIES } from "./chart.js";
import { duration, fixed, percent, short, whole } from "./format.js";
import { Explain, Refusal, sayError } from "./ui.js";

const LOOK_MILLISECONDS = 700;

/** @param {{name: string}} props */
export function Learn({ name }) {
  return name ? html`<${Lesson} name=${name}/>` : html`<${Course}/>`;
}

function Course() {
  const [lessons, setLessons] = useState(null);
  useEffect(() => { get("/lessons").then((answer) => setLessons(answer.lessons), sayError); }, []);
  if (!lessons) return html`<p class="soft" role="status"><span class="spin"></span>Opening the course …</p>`;
  const done = lessons.filter((lesson) => lesson.is_done).length;
  const next = lessons.find((lesson) => !lesson.is_done);
  return html`<div class="stack">
    <div><h1>Learn how a model learns</h1>
      <p class="sentence">Eight short lessons. In each one you make a prediction, train real models for less than a minute, and see whether you were right.</p>
      <p class="soft">${done === 0 ? "You need to know nothing before." : done === lessons.length ? "You have done them all." : `${done} of ${lessons.length} done.`} <a href="#/handbook">All pages of the handbook</a></p></div>
    <ol class="lessons plain">${lessons.map((lesson) => html`<li key=${lesson.name}><a class=${`card lesson ${lesson === next ? "next" : ""}`} href=${`#/learn/${lesson.name}`}>
      <span class="rank" aria-hidden="true">${lesson.is_done ? "✓" : lesson.number}</span>
      <span><strong>${lesson.title}</strong><span class="soft small">${lesson.summary}</span>${lesson.is_done && html`<span class="small done">${lesson.is_right == null ? "Done" : lesson.is_right ? "Done: you were right" : "Done: it came out otherwise"}</span>`}</span></a></li>`)}</ol>
  </div>`;
}

/** @param {{name: string}} props */
function Lesson({ name }) {
  const [lesson, setLesson] = useState(null);
  const [experiment, setExperiment] = useState(null);
  const [texts, setTexts] = useState([]);
  const [text, setText] = useState("stories");
  const [choice, setChoice] = useState(-1);
  const [problem, setProblem] = useState("");
  const [attempt, setAttempt] = useState(0);
  const answer = useRef(null);
  const [asksAgain, setAsksAgain] = useState(false);
  const state = experiment && experiment.state;
  const isBusy = state === "running" || state === "waiting";
  const where = `/lessons/${name}/experiment`;
  useEffect(() => {
    get(`/lessons/${name}`).then(setLesson, (error) => setProblem(error.message));
    get("/texts").then((found) => setTexts(found.texts), sayError);
  }, [name]);
  const take = (found) => { setExperiment(found); setProblem(""); };
  const fail = (error) => setProblem(error.message);
  useEffect(() => (isBusy ? poll(where, LOOK_MILLISECONDS, take, fail) : void get(where).then(take, fail)), [name, isBusy, attempt]);
  const wasBusy = useRef(false);
  useEffect(() => {
    if (wasBusy.current && state === "finished" && answer.current) answer.current.scrollIntoView({ block: "nearest" });
    wasBusy.current = isBusy;
  }, [state]);
  if (problem && !lesson) return html`<${Refusal} title="Learn" text=${problem}/>`;
  if (!lesson || !experiment) return html`<p class="soft" role="status"><span class="spin"></span>Opening the lesson …</p>`;
  const start = async () => {
    try {
      await post(where, { text, prediction: choice });
      setAsksAgain(false);
      setExperiment({ ...experiment, state: "waiting", result: null, arms: [], prediction: choice });
    } catch (error) { sayError(error); }
  };
  const stop = () => post(`${where}/stop`).then(() => setAttempt(attempt + 1), sayError);
  const again = () => { setChoice(-1); setAsksAgain(true); };
  const isOpen = !isBusy && (asksAgain || state !== "finished");
  const chosen = isOpen ? choice : experiment.prediction;
  return html`<article class="stack lesson-page">
    <div class="row between"><div><p class="soft">Lesson ${lesson.number} of ${lesson.num_lessons}</p><h1>${lesson.title}</h1></div><a class="button" href="#/learn">All lessons</a></div>
    ${problem && html`<p class="note warn" role="status">${problem}</p>`}
    <section class="card reading" aria-label="The idea">${lesson.idea.map((part, index) => html`<p key=${index}>${part}</p>`)}
      <p class="row soft">More in the handbook: ${lesson.pages.map((page) => html`<${Explain} key=${page} name=${page} title=${page.replace(/_/g, " ")} label=${page.replace(/_/g, " ")}/>`)}</p></section>
    <section class="card stack" aria-labelledby="question"><h2 id="question">What do you think?</h2>
      <fieldset class="choices" disabled=${!isOpen}><legend class="sentence">${lesson.question}</legend>
        ${lesson.choices.map((one, index) => html`<label key=${one} class=${`choice-line ${chosen === index ? "chosen" : ""}`}><input type="radio" name="prediction" checked=${chosen === index} onChange=${() => setChoice(index)}/> <span>${one}</span></label>`)}</fieldset>
      ${isOpen && html`<div class="row"><button class="main big" disabled=${choice < 0} onClick=${start}>Find out</button>
        <div class="minutes"><label for="lesson-text" class="soft small">Text to learn from</label><select id="lesson-text" value=${text} onChange=${(event) => setText(event.target.value)}>${texts.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}</select></div></div>
        <p class="soft small">${choice < 0 ? "Choose first. A guess is fine: you learn most when it is wrong." : `${lesson.arms.length === 1 ? "One model is" : `${lesson.arms.length} models are`} trained here and now, on this computer.`}</p>`}
    </section>
    ${(isBusy || (state === "finished" && !asksAgain)) && html`<${Experiment} experiment=${experiment} lesson=${lesson} onStop=${stop}/>`}
    ${state === "failed" && html`<p class="note bad" role="alert">${failure(experiment.log)}</p>`}
    ${state === "finished" && !asksAgain && html`<div ref=${answer}><${Measured} experiment=${experiment} lesson=${lesson} onAgain=${again}/></div>`}
  </article>`;
}

/** @param {string[]} log */
const failure = (log) => log.filter((line) => line.startsWith("error")).pop() || "The experiment was stopped before its end. You can start it again.";

/** @param {{experiment: any, lesson: any, onStop: () => void}} props */
function Experiment({ experiment, lesson, onStop }) {
  const { arms, state } = experiment;
  const begun = arms.filter((arm) => arm.points.length);
  const isBusy = state !== "finished";
  const current = begun[begun.length - 1];
  return html`<section class="card stack" aria-labelledby="experiment"><div class="row between"><h2 id="experiment">The experiment</h2>${isBusy && html`<button onClick=${onStop}>${state === "waiting" ? "Cancel" : "Stop"}</button>`}</div>
    ${isBusy && html`<p role="status"><span class="spin"></span>${state === "waiting" ? "Another run is training. The experiment begins when it has ended." : current ? `Training ${begun.length} of ${lesson.arms.length}: ${current.label}, step ${whole(current.num_steps)}` : "Getting ready. The first curve begins in a few seconds."}</p>`}
    ${begun.length > 0 && html`<${Curves} arms=${arms} maxSteps=${lesson.max_steps}/>`}
    ${current && current.sample && html`<figure class="sample-box"><figcaption class="soft small">${current.label} writes, after step ${whole(current.sample.step)}:</figcaption><p class="sample"><span class="prompt">${current.sample.prompt}</span>${current.sample.text}</p></figure>`}
  </section>`;
}

/** @param {{arms: any[], maxSteps: number | null}} props */
function Curves({ arms, maxSteps }) {
  const option = () => {
    const chart = base("step", "");
    const colors = SERIES();
    return {
      ...chart,
      xAxis: { ...chart.xAxis, max: maxSteps || "dataMax" },
      yAxis: { ...chart.yAxis, name: "loss", min: 0 },
      legend: { top: 0, right: 0, textStyle: { color: color("ink"), fontSize: 14 * scale() }, itemHeight: 8, data: arms.filter((arm) => arm.points.length).map((arm) => arm.label) },
      tooltip: { ...chart.tooltip, valueFormatter: (value) => Number(value).toFixed(2) },
      series: arms.flatMap((arm, index) => [
        { name: arm.label, type: "line", showSymbol: false, lineStyle: { width: 3, color: colors[index] }, itemStyle: { color: colors[index] }, data: arm.points.map((point) => [point[0], point[2]]) },
        { name: `${arm.label}, validation`, type: "line", symbol: "circle", symbolSize: 9, lineStyle: { width: 2, type: "dotted", color: colors[index] }, itemStyle: { color: colors[index], borderColor: color("ink"), borderWidth: 1 }, data: arm.epochs.map((epoch) => [epoch.step, epoch.validation_loss]) },
      ]),
    };
  };
  const words = arms.filter((arm) => arm.points.length).map((arm) => `${arm.label}: loss ${fixed(arm.points[arm.points.length - 1][2], 2)} after ${arm.num_steps} steps`).join("; ");
  return html`<div><${Chart} option=${option} description=${`Curves. ${words}.`} stamp=${arms.map((arm) => `${arm.num_steps}/${arm.epochs.length}`).join(" ")}/>
    <p class="soft small">The loss of each model, step by step. Lower is better. Circles are measured on text that the model never learns from.</p></div>`;
}

/** @param {{experiment: any, lesson: any, onAgain: () => void}} props */
function Measured({ experiment, lesson, onAgain }) {
  const { result, prediction } = experiment;
  const isRight = result.answer === prediction;
  return html`<section class=${`card stack measured ${isRight ? "right" : ""}`} aria-labelledby="measured"><h2 id="measured">${isRight ? "You were right" : "It came out otherwise"}</h2>
    <dl class="versus"><div><dt class="soft">You predicted</dt><dd>${lesson.choices[prediction]}</dd></div><div><dt class="soft">Measured</dt><dd><strong>${isRight ? "✓ " : ""}${lesson.choices[result.answer]}</strong></dd></div></dl>
    <p>${result.measured}</p>
    <div class="scroll" tabindex="0" role="group" aria-label="All numbers"><table class="cards"><thead><tr><th>Model</th><th class="number">Validation loss</th><th class="number">Accuracy</th><th class="number">Bits per byte</th><th class="number">Parameters</th><th class="number">Time</th></tr></thead>
      <tbody>${result.arms.map((arm, index) => html`<tr key=${arm.label}><td class="name"><span class=${`swatch c${index}`}></span>${arm.label}</td><td class="number" data-label="Validation loss">${fixed(arm.validation_loss, 2)}</td><td class="number" data-label="Accuracy">${percent(arm.accuracy)}</td><td class="number" data-label="Bits per byte">${fixed(arm.bits_per_byte, 2)}</td><td class="number" data-label="Parameters">${short(arm.parameters)}</td><td class="number" data-label="Time">${duration(arm.seconds)}</td></tr>`)}</tbody></table></div>
    <p class="reading">${lesson.explanation}</p>
    <p class="row">${lesson.next ? html`<a class="button main" href=${`#/learn/${lesson.next}`}>Next lesson</a>` : html`<a class="button main" href="#/start">Train your own model</a>`}<button onClick=${onAgain}>Predict and run again</button></p>
  </section>`;
}
