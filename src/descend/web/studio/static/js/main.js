// The frame: where one is, what is running, and the screen.

import { html, render, signal, useEffect } from "/static/vendor/preact.min.js";
import { ApiError, get } from "./api.js";
import { Check } from "./check.js";
import { Diagnosis } from "./diagnosis.js";
import { Experiments } from "./experiments.js";
import { Handbook } from "./handbook.js";
import { Inside } from "./inside.js";
import { Learn } from "./learn.js";
import { Live } from "./live.js";
import { Runs } from "./runs.js";
import { Start } from "./start.js";
import { Talk } from "./talk.js";
import { HandbookDialog, Toasts } from "./ui.js";

const SCREENS = { start: Start, run: Live, runs: Runs, talk: Talk, inside: Inside, diagnosis: Diagnosis, learn: Learn, experiments: Experiments, check: Check, handbook: Handbook };
const TITLES = { start: "Start", run: "Run", runs: "Runs", talk: "Talk", inside: "Look inside", diagnosis: "Diagnosis", learn: "Learn", experiments: "Experiments", check: "Check", handbook: "Handbook" };
const LOOK_MILLISECONDS = 3000;
const TAB_MARGIN = 60;
const LARGE = "large-text";

/** Screen and what it is about: `#/run/stories-1`. */
const place = signal(readPlace());
const workspace = signal({ folder: "", jobs: [] });
const isLost = signal("");

const isLarge = signal(localStorage.getItem(LARGE) === "yes");

/** For a projector, or for weak eyes. @param {boolean} value */
function setLarge(value) {
  isLarge.value = value;
  localStorage.setItem(LARGE, value ? "yes" : "no");
  document.documentElement.classList.toggle("large", value);
}

function readPlace() {
  const [, screen, name] = location.hash.split("/");
  return SCREENS[screen] ? { screen, name: name ? decodeURIComponent(name) : "" } : { screen: "start", name: "" };
}

/** Where a job can be watched. @param {any} job */
function jobPlace({ kind, run, text }) {
  if (kind === "program") return "#/check/program";
  if (kind === "serve") return `#/run/${encodeURIComponent(text)}`;
  if (["compare", "search", "attribute"].includes(kind)) return `#/experiments/${run.replace("experiment+", "")}`;
  if (kind === "lesson") return `#/learn/${run.replace("lesson+", "")}`;
  return `#/${kind === "diagnose" || kind === "improve" ? "diagnosis" : "run"}/${encodeURIComponent(run)}`;
}

/** What a job is called. @param {any} job */
const jobName = ({ kind, run, text }) => (kind === "program" ? text : kind === "serve" ? `serving ${text}` : run.replace("lesson+", "lesson: ").replace("experiment+", ""));

async function look() {
  try {
    workspace.value = await get("/workspace");
    isLost.value = "";
  } catch (problem) {
    isLost.value = problem instanceof ApiError ? problem.message : String(problem);
  }
}

function App() {
  useEffect(() => {
    look();
    const timer = setInterval(look, LOOK_MILLISECONDS);
    const onHash = () => {
      place.value = readPlace();
      document.querySelector("main").focus();
      scrollTo(0, 0);
      look();
    };
    addEventListener("hashchange", onHash);
    return () => { clearInterval(timer); removeEventListener("hashchange", onHash); };
  }, []);
  const { screen, name } = place.value;
  const Screen = SCREENS[screen];
  const { jobs } = workspace.value;
  const job = jobs.find((one) => one.kind !== "serve") || jobs[0];
  useEffect(() => {
    document.title = `${name || TITLES[screen]} · descend studio`;
    const tab = /** @type {HTMLElement | null} */ (document.querySelector("nav.tabs [aria-current]"));
    if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - TAB_MARGIN;
  }, [screen, name]);
  const current = (/** @type {string[]} */ ...names) => (names.includes(screen) ? "page" : undefined);
  return html`
    <header class="top"><div class="bar">
      <a class="brand" href="#/start" aria-label="descend studio"><img src="/static/icon.svg" alt=""/><span>descend studio</span></a>
      <nav class="tabs" aria-label="Screens">
        <a href="#/start" aria-current=${current("start")}>Start</a>
        <a href="#/runs" aria-current=${current("runs", "run", "diagnosis")}>Runs</a>
        <a href="#/experiments" aria-current=${current("experiments")}>Experiments</a>
        <a href="#/talk" aria-current=${current("talk")}>Talk</a>
        <a href="#/inside" aria-current=${current("inside")}>Inside</a>
        <a href="#/check" aria-current=${current("check")}>Check</a>
        <a href="#/learn" aria-current=${current("learn", "handbook")}>Learn</a>
      </nav>
      ${job && html`<a class="working" href=${jobPlace(job)}>
        <span class="dot"></span><span class="name">${jobName(job)}</span></a>`}
      <button class="larger" type="button" aria-pressed=${isLarge.value ? "true" : "false"} title="For a projector" onClick=${() => setLarge(!isLarge.value)}>Larger text</button>
    </div></header>
    <main tabindex="-1">
      ${isLost.value && html`<p class="note bad" role="alert">${isLost.value}</p>`}
      <${Screen} key=${`${screen}/${name}`} name=${name}/>
    </main>
    <${HandbookDialog}/><${Toasts}/>`;
}

setLarge(isLarge.value);
render(html`<${App}/>`, document.getElementById("app"));
