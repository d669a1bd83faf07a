// The card on a run: whether something is wrong, what, how sure that is, and a fix to try.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, poll, post, quoted } from "./api.js";
import { percent } from "./format.js";
import { Explain, say, sayError } from "./ui.js";

const LOOK_MILLISECONDS = 10_000;
const LIKELY = 0.5;

/** @param {{name: string, state: string}} props */
export function Health({ name, state }) {
  const [health, setHealth] = useState(null);
  const [together, setTogether] = useState(1);
  const isRunning = state === "running" || state === "paused";
  const where = `/runs/${quoted(name)}`;
  useEffect(() => {
    if (!["running", "paused", "stopped", "finished", "diverged"].includes(state)) return undefined;
    get("/workspace").then((answer) => setTogether(answer.runs_at_a_time), () => {});
    const path = `${where}/health`;
    if (!isRunning) { get(path).then(setHealth, () => {}); return undefined; }
    return poll(path, LOOK_MILLISECONDS, setHealth, () => {});
  }, [name, state]);
  if (!health || !health.cause) return null;
  const keys = Object.entries(health.recommended_config);
  const waits = isRunning && together < 2;
  const fix = () => post(`${where}/fix`).then(({ run }) => {
    say(waits ? `${run} is in the queue. It starts when ${name} has ended.` : `${run} trains with the fix.`, { label: "Show it", action: () => { location.hash = `#/run/${quoted(run)}`; } });
  }, sayError);
  const isLikely = health.probability > LIKELY;
  return html`<section class=${isLikely ? "card stack warn-card" : "card stack doubt"} aria-labelledby="health-title">
    <div class="row"><h2 id="health-title">${isLikely ? "Something seems wrong" : "Perhaps"}: ${health.title}</h2><span class="state">${percent(health.probability)} sure</span><${Explain} name=${health.cause} title=${health.title}/></div>
    <p>${health.basis === "curve" ? `${isLikely ? "The curve says so" : "The curve alone cannot tell"}: ${health.reason}. Only a trial can prove it.` : "Trials have shown it."} What to do: ${health.advice}.</p>
    <p class="row">${keys.length > 0 && html`<button class=${isLikely ? "main" : ""} onClick=${fix}>Try the fix ${waits ? "after this run" : isRunning ? "beside this run" : "in a new run"}</button><code>${keys.map(([key, value]) => `${key} = ${value}`).join(", ")}</code>`}
      ${!isRunning && html`<a class="button" href=${`#/diagnosis/${quoted(name)}`}>${health.basis === "trials" ? "Show the proof" : "Find out by trial"}</a>`}</p>
    ${waits && html`<p class="soft small">This computer trains one run at a time. A fix waits in the queue. Stop this run to start it now.</p>`}
  </section>`;
}
