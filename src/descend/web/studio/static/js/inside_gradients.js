// How much gradient reached each layer, as the run recorded it.

import { html, useEffect, useState } from "/static/vendor/preact.min.js";
import { get, quoted } from "./api.js";
import { whole } from "./format.js";
import { Heat } from "./heat.js";
import { sayError } from "./ui.js";

/** @param {{name: string}} props */
export function Gradients({ name }) {
  const [flow, setFlow] = useState(null);
  useEffect(() => { get(`/runs/${quoted(name)}/gradients`).then(setFlow).catch(sayError); }, []);
  if (!flow || !flow.steps.length) return null;
  const { low, high } = span(flow.gradient_rms);
  const shade = (value) => (value > 0 ? Math.max(0.04, (Math.log10(value) - low) / Math.max(high - low, 1e-9)) : 0);
  const rows = flow.gradient_rms.map((row) => row.map(shade));
  const last = flow.steps.length - 1;
  const words = flow.layers.map((layer, index) => `${layer}: ${flow.gradient_rms[index][last].toExponential(1)}`).join(", ");
  return html`<section class="card" aria-labelledby="gradients-title"><h2 id="gradients-title">How the learning flows back</h2>
    <p class="soft small">At each step every layer is told how to change. The stronger the color, the more it was told. Where a row is pale all along, that layer learns hardly anything.</p>
    <div class="flow" style=${`--rows: ${flow.layers.length}`}><div class="flownames small" aria-hidden="true">${flow.layers.map((layer) => html`<span key=${layer}>${layer.replace("block", "layer")}</span>`)}</div>
      <${Heat} rows=${rows} className="wide" stamp=${`${name} ${last}`} description=${`Size of the gradient of each layer over the steps. At the end: ${words}.`}/></div>
    <div class="row between soft small"><span>step ${whole(flow.steps[0])}</span><span>step ${whole(flow.steps[last])}</span></div>
    <p class="soft small">Colors: from ${(10 ** low).toExponential(0)} (pale) to ${(10 ** high).toExponential(0)} (strong).</p></section>`;
}

/** Powers of ten of the smallest and the largest gradient; a thousandth of the largest is pale. @param {number[][]} rows */
function span(rows) {
  const sizes = rows.flat().filter((value) => value > 0).map(Math.log10);
  const high = sizes.length ? Math.max(...sizes) : 0;
  return { low: Math.max(sizes.length ? Math.min(...sizes) : -1, high - 3), high };
}
