// One run: how it goes, its curve, the text that it writes.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { follow, get, post, quoted, request } from "./api.js";
import { Annotation } from "./annotation.js";
import { base, Chart, color, scale } from "./chart.js";
import { duration, fixed, moment, percent, short, whole, withoutCommands } from "./format.js";
import { Health } from "./health.js";
import { RunTools } from "./run_tools.js";
import { Figures, Refusal, say, sayError, State } from "./ui.js";

const MAX_POINTS = 4000;
const MAX_AVERAGES = 400;
const AVERAGED_PART = 25;
const FORECASTS = 10;
const FORECAST_FROM = 50;
const NEAR = 0.1;
const NARROWEST = 0.06;
const BUSY = ["waiting", "starting", "running", "paused"];

/** What is known of a run, and what comes while it is watched. @param {string} name */
function useRun(name) {
  const [details, setDetails] = useState(null);
  const [problem, setProblem] = useState("");
  const [isLost, setLost] = useState(false);
  const [attempt, setAttempt] = useState(0);
  const [curve, setCurve] = useState({ points: [], epochs: [], samples: [], messages: [] });
  useEffect(() => {
    let close = () => {};
    let isCurrent = true;
    get(`/runs/${quoted(name)}`).then((answer) => {
      if (!isCurrent) return;
      setDetails(answer);
      close = follow(name, {
        news: (news) => setCurve((before) => merge(before, news)),
        state: setDetails,
        end: () => setLost(false),
        open: () => setLost(false),
        lost: () => setLost(true),
      });
    }, (error) => isCurrent && setProblem(error.message));
    return () => { isCurrent = false; close(); };
  }, [name, attempt]);

  // A curve that grew too long is thinned again by the server.
  useEffect(() => {
    if (curve.points.length > MAX_POINTS) setAttempt(attempt + 1);
  }, [curve.points.length]);
  return { details, problem, isLost, curve, lookAgain: () => setAttempt(attempt + 1) };
}

/** @param {{name: string}} props */
export function Live({ name }) {
  const { details, problem, isLost, curve, lookAgain } = useRun(name);
  const state = details && details.state;
  if (problem) return html`<${Refusal} title=${name} text=${problem}/>`;
  if (!details) return html`<p class="soft" role="status"><span class="spin"></span>Opening ${name} …</p>`;
  const act = async (path, words) => {
    try {
      await post(`/runs/${quoted(name)}/${path}`);
      say(words);
      lookAgain();
    } catch (error) { sayError(error); }
  };
  // Until its own training begins, the newest of its teachers is the one that trains.
  const teacher = BUSY.includes(state) && details.resolved_config == null ? details.models[details.models.length - 2] : "";
  return html`<div class="stack">
    <div class="row between">
      <div class="row"><h1>${name}</h1><${State} state=${state}/></div>
      <div class="row">
        ${state === "running" ? html`<button onClick=${() => act("pause", "It waits after this step. Resume goes on at once.")}>Pause</button>`
          : ["paused", "stopped"].includes(state) ? html`<button class="main" onClick=${() => act("resume", "It goes on where it was.")}>Resume</button>` : null}
        ${BUSY.includes(state) && html`<button onClick=${() => act("stop", state === "waiting" ? "It is out of the queue." : "It saves and stops. Resume goes on from there.")}>${state === "waiting" ? "Cancel" : "Stop"}</button>`}
        ${details.can_talk && html`<a class=${BUSY.includes(state) || state === "stopped" ? "button" : "button main"} href=${`#/talk/${quoted(name)}`}>Talk to it</a>`}
        ${(curve.points.length > 0 || details.can_talk) && html`<a class="button" href=${`#/inside/${quoted(name)}`}>Look inside</a>`}
        ${state === "finished" && details.has_model && html`<${TrainOn} name=${name}/>`}
        ${["finished", "stopped", "diverged"].includes(state) && html`<a class="button" href=${`#/diagnosis/${quoted(name)}`}>Why not better? Improve it</a>`}
        ${!BUSY.includes(state) && html`<${Delete} name=${name}/>`}
      </div>
    </div>
    ${isLost && BUSY.includes(state) && html`<p class="note warn" role="status">The studio does not answer. Training goes on without it.</p>`}
    <section class="card" aria-label="How it goes">
      <p class=${state === "failed" || state === "diverged" ? "sentence note bad" : "sentence"} role="status">${state === "starting" && html`<span class="spin"></span>`}${withoutCommands(details.sentence)}</p>
      ${details.models.length > 0 && html`<${Models} names=${details.models} name=${name}/>`}
      ${details.progress && state !== "finished" && html`<${Progress} progress=${details.progress} state=${state}/>`}
      ${curve.points.length > 0 && html`<${Facts} details=${details} curve=${curve}/>`}
      ${curve.messages.map((one, index) => html`<p class="note warn" key=${index}>${one.text}</p>`)}
    </section>
    <${Health} name=${name} state=${state}/>
    ${teacher ? html`<${Teacher} key=${teacher} name=${teacher}/>` : html`<${Learning} curve=${curve} details=${details}/>`}
    ${details.annotation && html`<${Annotation} key=${name} name=${name} annotation=${details.annotation}/>`}
    ${!BUSY.includes(state) && details.text && html`<${RunTools} name=${name} hasModel=${details.has_model}/>`}
    <${More} details=${details}/>
  </div>`;
}

/** The curve of a run, and what it writes. @param {{curve: any, details: any}} props */
function Learning({ curve, details }) {
  return html`<div class="cols two">
    <${Curve} curve=${curve} details=${details}/>
    <section class="card" aria-labelledby="text-title"><h2 id="text-title">What it writes</h2>
      <${Samples} samples=${curve.samples} state=${details.state}/></section>
  </div>`;
}

/** The model that trains now, for one that learns from it. @param {{name: string}} props */
function Teacher({ name }) {
  const { details, curve, lookAgain } = useRun(name);
  if (!details) return null;
  const act = (path) => post(`/runs/${quoted(name)}/${path}`).then(lookAgain, sayError);
  return html`<section class="card" aria-labelledby="teacher-title">
      <div class="row between"><div class="row"><h2 id="teacher-title"><a href=${`#/run/${quoted(name)}`}>${name}</a></h2><${State} state=${details.state}/></div>
        ${details.state === "running" ? html`<button onClick=${() => act("pause")}>Pause</button>` : details.state === "paused" ? html`<button class="main" onClick=${() => act("resume")}>Resume</button>` : null}</div>
      <p class="sentence">${withoutCommands(details.sentence)}</p>
      ${details.progress && html`<${Progress} progress=${details.progress} state=${details.state}/>`}
      ${curve.points.length > 0 && html`<${Facts} details=${details} curve=${curve}/>`}</section>
    <${Learning} curve=${curve} details=${details}/>`;
}

/** The models of one training, each of which learns from those before it. @param {{names: string[], name: string}} props */
function Models({ names, name }) {
  return html`<p class="soft small">The models of this training, each of which learns from those before it: ${names.map((each, index) => html`${index > 0 && " → "}${each === name ? html`<b>${each}</b>` : html`<a href=${`#/run/${quoted(each)}`}>${each}</a>`}`)}</p>`;
}

/** Loss or accuracy over the steps. @param {{curve: any, details: any}} props */
function Curve({ curve, details }) {
  const [isLoss, setLoss] = useState(true);
  const choice = (title, value) => html`<button type="button" class=${isLoss === value ? "main" : ""} aria-pressed=${isLoss === value ? "true" : "false"} onClick=${() => setLoss(value)}>${title}</button>`;
  return html`<section class="card" aria-labelledby="curve-title">
    <div class="row between"><h2 id="curve-title">${isLoss ? "Loss, step by step" : "Accuracy, step by step"}</h2>
      <div class="row small-choices" role="group" aria-label="What the curve shows">${choice("Loss", true)}${choice("Accuracy", false)}</div></div>
    ${!curve.points.length ? html`<p class="soft">The curve begins with the first step.</p>` : isLoss ? html`<${LossChart} curve=${curve} details=${details}/>` : html`<${AccuracyChart} curve=${curve} details=${details}/>`}
    <p class="soft small">${isLoss ? "The loss says how surprised the model is by the next token. Down is better." : "Accuracy is how often the next token was predicted correctly. Up is better."}${curve.epochs.length > 0 && " The dots are the validation set: text that it never learns from."}</p></section>`;
}

/** With a capital and a full stop. @param {string} text */
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

/** @param {any} before @param {any} news */
function merge(before, news) {
  const from = news.reset ? { points: [], epochs: [], samples: [], messages: [] } : before;
  return {
    points: [...from.points, ...news.points], epochs: [...from.epochs, ...news.epochs],
    samples: [...from.samples, ...news.samples], messages: [...from.messages, ...news.messages],
  };
}

/** @param {{progress: any, state: string}} props */
function Progress({ progress, state }) {
  const percentDone = Math.round(100 * progress.fraction);
  return html`<div class="progress" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${percentDone}>
      <div style=${{ width: `${percentDone}%` }}></div></div>
    ${(state === "running" || state === "paused") && html`<p class="soft small">${percentDone} % done${progress.seconds_left == null ? "" : `, about ${duration(progress.seconds_left)} ${state === "paused" ? "of training " : ""}left`}</p>`}`;
}

/** @param {{details: any, curve: any}} props */
function Facts({ details, curve }) {
  const last = curve.points[curve.points.length - 1];
  const summary = details.summary;
  const accuracy = summary ? summary.validation_accuracy : last && last[3];
  const loss = summary ? summary.validation_loss : last && last[2];
  const items = [
    ["Accuracy", percent(accuracy), "next tokens right"],
    [summary ? "Validation loss" : "Training loss", fixed(loss), summary ? `${fixed(summary.bits_per_byte)} bits per byte` : ""],
    ["Step", whole(last ? last[0] : 0), details.total_steps && details.state !== "finished" && !(details.resolved_config || {}).minutes ? `of ${whole(details.total_steps)}` : ""],
    ["Parameters", short(details.parameters)],
  ];
  const speed = details.progress && details.progress.tokens_per_second;
  if (speed && details.state === "running") items.push(["Speed", short(speed), "tokens/s"]);
  if (summary && details.state !== "running") items.push(["Time", duration(summary.seconds)]);
  return html`<${Figures} items=${items}/>
    ${details.baselines_text && html`<p class="soft small">${sentence(details.baselines_text)}</p>`}`;
}

/** @param {{curve: any, details: any}} props */
function LossChart({ curve, details }) {
  const beat = details.baselines || {};
  const rules = [["random guess", beat.uniform], ["frequent tokens (unigram)", beat.unigram], ["last token (bigram)", beat.bigram]];
  const last = curve.points[curve.points.length - 1];
  const ahead = useForecast(details, last[0]);
  // It continues the validation loss, which is not where the average on training text is.
  const known = curve.epochs.slice(-1).map(({ step, validation_loss: loss }) => ({ step, loss, low: loss, high: loss }));
  const band = withWidth(ahead.length ? [...known, ...ahead] : []);
  const end = band.length ? band[band.length - 1] : null;
  const option = () => {
    const chart = base("step", "");
    chart.xAxis.max = Math.max(last[0], end ? end.step : 0, 1);
    const reached = Math.min(...curve.points.map((p) => p[2]), ...curve.epochs.map((e) => e.validation_loss), end ? end.low : Infinity);
    // The next baseline to beat is in sight.
    const lowest = Math.max(0, ...rules.map(([, value]) => value || 0).filter((value) => value < reached)) || reached;
    chart.yAxis.min = Math.max(0, Math.floor(2 * (lowest - 0.5)) / 2);
    // A wide forecast must not flatten the curve.
    const highest = Math.max(beat.uniform || 0, ...curve.points.map((p) => p[1]));
    if (band.some((p) => p.high > highest)) chart.yAxis.max = Math.ceil(highest);
    // A label at the end would hide the end of a curve that is near.
    const isNear = (value) => 2 * last[0] > chart.xAxis.max && Math.abs(value - last[2]) < NEAR * (highest - chart.yAxis.min);
    if (end && innerWidth < 700) chart.grid.top = 48 * scale(); // the legend has two lines
    return {
      ...chart,
      color: [color("raw"), color("accent"), color("second")],
      legend: { top: 0, right: 0, textStyle: { color: color("ink"), fontSize: 12 * scale() }, itemHeight: 8, data: ["each step", "average", ...(curve.epochs.length ? ["validation"] : []), ...(end ? ["forecast"] : [])] },
      tooltip: { ...chart.tooltip, valueFormatter: (value) => Number(value).toFixed(3) },
      series: [
        { name: "each step", ...LINE, lineStyle: { width: 1, opacity: .7 }, data: curve.points.map((p) => [p[0], p[1]]),
          markLine: ruleLines(rules, (value) => (isNear(value) ? "insideStartTop" : "insideEndTop")) },
        { name: "average", ...LINE, lineStyle: { width: 2.5 }, data: every(curve.points, MAX_AVERAGES).map((p) => [p[0], p[2]]) },
        { name: "validation", type: "line", symbol: "circle", symbolSize: 9, lineStyle: { width: 2 }, data: curve.epochs.map((e) => [e.step, e.validation_loss]) },
        ...(end ? forecastSeries(band) : []),
      ],
    };
  };
  const words = `Loss over ${last[0]} steps, from ${fixed(curve.points[0][1], 2)} to ${fixed(last[2], 2)}.${end ? ` It is expected to end between ${fixed(end.low, 2)} and ${fixed(end.high, 2)}.` : ""}`;
  return html`<${Chart} option=${option} description=${words} stamp=${`${curve.points.length} ${last[0]} ${curve.epochs.length} ${beat.uniform} ${band.length} ${end && end.high}`}/>
    ${end && html`<p class="soft small" data-forecast>The shaded band is the forecast: with 80 % certainty the validation loss ends between <strong>${fixed(end.low, 2)}</strong> and <strong>${fixed(end.high, 2)}</strong>.</p>`}`;
}

/** A band that is one point, as before the first pass over the text ends, made wide enough to be seen. @param {any[]} band */
const withWidth = (band) => (band.length === 1 ? [{ ...band[0], step: (1 - NARROWEST) * band[0].step }, band[0]] : band);

/** What simple rules reach, as dashed lines. @param {any[][]} rules name and value @param {(value: number) => string} position of a label */
const ruleLines = (rules, position) => ({
  silent: true, symbol: "none", lineStyle: { color: color("soft"), type: "dashed", opacity: .7 },
  label: { color: color("soft"), fontSize: 12 * scale(), formatter: "{b}", backgroundColor: color("card"), padding: [1, 3] },
  data: rules.filter(([, value]) => value != null).map(([label, value]) => ({ name: label, yAxis: value, label: { position: position(value) } })),
});

/** Share of tokens that were predicted correctly, averaged over neighboring points. @param {{curve: any, details: any}} props */
function AccuracyChart({ curve, details }) {
  const beat = details.baselines || {};
  const rules = [["most common token", beat.unigram_accuracy], ["last token (bigram)", beat.bigram_accuracy]];
  const last = curve.points[curve.points.length - 1];
  const wide = Math.max(1, Math.round(curve.points.length / AVERAGED_PART));
  const option = () => {
    const chart = base("step", "");
    return {
      ...chart,
      color: [color("raw"), color("accent"), color("second")],
      xAxis: { ...chart.xAxis, max: Math.max(last[0], 1) },
      yAxis: { ...chart.yAxis, min: 0, axisLabel: { ...chart.yAxis.axisLabel, formatter: (value) => `${Math.round(100 * value)} %` } },
      legend: { top: 0, right: 0, textStyle: { color: color("ink"), fontSize: 12 * scale() }, itemHeight: 8, data: ["each step", "average", ...(curve.epochs.length ? ["validation"] : [])] },
      tooltip: { ...chart.tooltip, valueFormatter: (value) => `${(100 * value).toFixed(1)} %` },
      series: [
        { name: "each step", ...LINE, lineStyle: { width: 1, opacity: .7 }, data: curve.points.map((p) => [p[0], p[3]]), markLine: ruleLines(rules, () => "insideEndTop") },
        { name: "average", ...LINE, lineStyle: { width: 2.5 }, data: every(averaged(curve.points, wide), MAX_AVERAGES) },
        { name: "validation", type: "line", symbol: "circle", symbolSize: 9, lineStyle: { width: 2 }, data: curve.epochs.map((e) => [e.step, e.accuracy]) },
      ],
    };
  };
  const words = `Accuracy over ${last[0]} steps.${curve.epochs.map((e) => ` Validation after step ${e.step}: ${percent(e.accuracy)}.`).join("")}`;
  return html`<${Chart} option=${option} description=${words} stamp=${`${curve.points.length} ${last[0]} ${curve.epochs.length}`}/>`;
}

/** Step and mean accuracy of the last `wide` points, of each point. @param {any[]} points @param {number} wide */
function averaged(points, wide) {
  let sum = 0;
  return points.map((point, index) => {
    sum += point[3] - (index >= wide ? points[index - wide][3] : 0);
    return [point[0], sum / Math.min(index + 1, wide)];
  });
}

/** What is the same for all long lines: the pointer restyles none of them. */
const LINE = { type: "line", showSymbol: false, emphasis: { disabled: true } };

/** About `count` of the points, the last among them: a smooth line needs no more. @param {any[]} points @param {number} count */
function every(points, count) {
  const stride = Math.max(1, Math.floor(points.length / count));
  return points.filter((_, index) => (points.length - 1 - index) % stride === 0);
}

/** Ends of the epochs to come, of a run that trains or is stopped; asked again as it goes on, one question at a time: on a busy computer an answer takes longer than a part of the run. @param {any} details @param {number} step */
function useForecast(details, step) {
  const [points, setPoints] = useState([]);
  const [asked, setAsked] = useState(-1);
  const [isAsking, setAsking] = useState(false);
  const total = details.total_steps || 0;
  const part = total ? Math.floor((FORECASTS * step) / total) : 0;
  const isOn = step >= FORECAST_FROM && ["running", "paused", "stopped"].includes(details.state);
  useEffect(() => {
    if (!isOn || isAsking || part === asked) return;
    setAsking(true);
    setAsked(part);
    get(`/runs/${quoted(details.name)}/forecast`).then((answer) => setPoints(answer.points), () => setPoints([])).finally(() => setAsking(false));
  }, [isOn, part, isAsking]);
  return isOn ? points.filter((point) => point.step > step) : [];
}

/** The band between the low and the high end, and the line in its midst. @param {any[]} band */
const forecastSeries = (band) => [
  { name: "forecast low", type: "line", stack: "forecast", silent: true, symbol: "none", lineStyle: { opacity: 0 }, tooltip: { show: false }, data: band.map((p) => [p.step, p.low]) },
  { name: "forecast width", type: "line", stack: "forecast", silent: true, symbol: "none", lineStyle: { opacity: 0 }, areaStyle: { color: color("second"), opacity: .18 }, tooltip: { show: false }, data: band.map((p) => [p.step, p.high - p.low]) },
  { name: "forecast", type: "line", symbol: "none", lineStyle: { width: 2, type: "dashed", color: color("second") }, itemStyle: { color: color("second") }, data: band.map((p) => [p.step, p.loss]) },
];

/** @param {{samples: any[], state: string}} props */
function Samples({ samples, state }) {
  if (!samples.length) return html`<p class="soft">${BUSY.includes(state) ? "Its first text comes about ten seconds after the first step." : "It wrote no text."}</p>`;
  const newestFirst = [...samples].reverse();
  return html`<ol class="samples plain" tabindex="0" aria-label="Texts that it wrote, the newest first">${newestFirst.map((one, index) => html`<li key=${samples.length - index}>
    <p class="soft small">after step ${whole(one.step)}</p>
    <p class="sample"><span class="prompt">${one.prompt}</span>${one.text}</p></li>`)}</ol>`;
}

/** A new run that begins with this one's model. @param {{name: string}} props */
function TrainOn({ name }) {
  const start = () => post(`/runs/${quoted(name)}/continue`).then(({ run }) => { location.hash = `#/run/${quoted(run)}`; }, sayError);
  return html`<button onClick=${start}>Train it further</button>`;
}

/** @param {{name: string}} props */
function Delete({ name }) {
  const remove = async () => {
    try {
      const { id } = await request("DELETE", `/runs/${quoted(name)}`);
      location.hash = "#/runs";
      say(`${name} is in the trash.`, id ? {
        label: "Undo",
        action: () => post("/trash/restore", { id }).then(() => { location.hash = `#/run/${quoted(name)}`; }, sayError),
      } : {});
    } catch (error) { sayError(error); }
  };
  return html`<button class="danger" onClick=${remove}>Delete</button>`;
}

/** @param {{details: any}} props */
function More({ details }) {
  const requested = details.requested_config || {};
  const rows = Object.entries(details.resolved_config || {}).filter(([key]) => !["save_dir", "log_level"].includes(key));
  return html`<details class="card"><summary>Settings and output</summary>
    ${details.started_at && html`<p class="soft small">Started ${moment(details.started_at)} on ${details.text}.</p>`}
    ${rows.length > 0 && html`<div class="scroll" tabindex="0" role="group" aria-label="Settings"><table><thead><tr><th>Setting</th><th>Value</th><th>Chosen by</th></tr></thead>
      <tbody>${rows.map(([key, value]) => html`<tr key=${key}><td><code>${key}</code></td><td class="mono">${value == null ? "–" : String(value)}</td>
        <td class="soft small">${requested[key] == null && value != null ? "descend" : "you or the default"}</td></tr>`)}</tbody></table></div>`}
    ${details.log.length > 0 && html`<h3>Output of the process</h3><pre class="log" tabindex="0">${details.log.join("\n")}</pre>`}
  </details>`;
}
