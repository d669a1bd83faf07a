// The parts of a look inside: sentence, layers, neighbors, heads.

import { html } from "/static/vendor/preact.min.js";
import { useAnswer } from "./answers.js";
import { quoted } from "./api.js";
import { likely, percent } from "./format.js";
import { Heat, walk } from "./heat.js";

const UNITS = 1000;
const BAR_NATS = 1;

/** A token as it can be read: what is only white space is named. @param {string} text */
export const readable = (text) => (text === " " ? "space" : text === "\n" ? "new line" : text.trim() ? text : JSON.stringify(text));

/** White space that can be seen where nothing else stands. @param {string} text */
const visible = (text) => (text === " " ? "␣" : text.replace(/\n/g, "↵"));

/** How surprised, in five classes. @param {number | null} loss */
const surprise = (loss) => (loss == null ? "" : loss < 0.5 ? "s0" : loss < 1.5 ? "s1" : loss < 3 ? "s2" : loss < 5 ? "s3" : "s4");

/** @param {{inspection: any, chosen: number, onChoose: (index: number) => void}} props */
export function Sentence({ inspection, chosen, onChoose }) {
  const one = inspection.tokens[chosen];
  return html`<div><h2>What surprises it</h2>
    <div class="tokens" role="group" aria-label="Tokens of the sentence" onKeyDown=${(event) => walk(event, "button")}>
      ${inspection.tokens.map((token, index) => html`<button key=${index} type="button" class=${`piece ${surprise(token.loss)}`} tabindex=${index === chosen ? 0 : -1}
        aria-pressed=${index === chosen ? "true" : "false"} aria-label=${`${readable(token.text)}, ${token.loss == null ? "the first token" : `surprise ${token.loss.toFixed(1)}`}`}
        onClick=${() => onChoose(index)} onFocus=${() => onChoose(index)}>${visible(token.text)}</button>`)}</div>
    <p>${one.loss == null
      ? html`<strong>${readable(one.text)}</strong> comes first. Nothing stands before it, so it cannot be guessed.`
      : html`The model gave <strong>${readable(one.text)}</strong> a chance of <strong>${likely(one.probability)}</strong>: a surprise of ${one.loss.toFixed(1)}.`}</p>
    <p class="soft small legend">Surprise: <span class="piece s0">none</span> <span class="piece s1">little</span> <span class="piece s2">some</span> <span class="piece s3">much</span> <span class="piece s4">very much</span></p>
    <p class="soft small legend">The mean of this sentence is <strong>${inspection.mean_loss.toFixed(2)}</strong>. That is its loss.${inspection.is_cut ? " Only the beginning of your text is read here." : ""}</p></div>`;
}

/** What it would say after each layer. @param {{inspection: any, chosen: number}} props */
export function Lens({ inspection, chosen }) {
  const token = inspection.tokens[chosen];
  const next = inspection.tokens[chosen + 1];
  const layers = inspection.layers.map((positions, layer) => ({ layer, top: positions[chosen] }));
  const name = (layer) => (layer === 0 ? "at the start" : layer === layers.length - 1 ? `after layer ${layer}, the answer` : `after layer ${layer}`);
  return html`<h2>From layer to layer</h2>
    <p class="soft small">What it would say comes after <strong>${readable(token.text)}</strong>${next ? html` (in your sentence: <strong>${readable(next.text)}</strong>)` : ""}, if the later layers did nothing.</p>
    <ol class="lens plain">${layers.map(({ layer, top }) => html`<li key=${layer}><span class="soft small">${name(layer)}</span>
      <span class="guesses">${top.map((guess, index) => html`<span key=${index} class=${next && guess.text === next.text ? "guess right" : "guess"}>
        <i aria-hidden="true" style=${{ width: `${Math.round(100 * guess.probability)}%` }}></i><span class="mono">${readable(guess.text)}</span> <span class="small">${likely(guess.probability)}</span></span>`)}</span></li>`)}</ol>
    ${next && html`<p class="soft small">A frame marks the token that really comes next.</p>`}`;
}

/** Tokens with a similar embedding. @param {{name: string, weights: string, token: any}} props */
export function Neighbors({ name, weights, token }) {
  const { data } = useAnswer(`/runs/${quoted(name)}/neighbors`, { weights, token: token.id });
  const near = data && data.neighbors;
  return html`<h2>Tokens like this one</h2>
    <p class="soft small">The model turns each token into a list of numbers. These tokens have the most similar lists to <strong>${readable(token.text)}</strong>. Before training they are chance.</p>
    ${near && html`<ol class="near plain">${near.map((one, index) => html`<li key=${index}><span class="mono">${readable(one.text)}</span>
      <span class="track" aria-hidden="true"><i style=${{ width: `${Math.max(0, Math.round(100 * one.cosine))}%` }}></i></span><span class="small mono">${percent(Math.max(0, one.cosine))}</span></li>`)}</ol>`}`;
}

/**
 * Where each head looks, and what it is worth.
 * @param {{inspection: any, chosen: number, effects: any[] | null, picked: {layer: number, head: number}, onPick: (head: any) => void, part: any, onPart: (part: any) => void, isNarrow: boolean}} props
 */
export function Heads({ inspection, chosen, effects, picked, onPick, part, onPart, isNarrow }) {
  const { attention, tokens } = inspection;
  const layer = Math.min(picked.layer, attention.length), head = Math.min(picked.head, attention[0].length);
  const weights = attention[layer - 1][head - 1];
  const effect = (wanted, which) => effects && effects.find((one) => one.layer === wanted && one.head === which);
  const isOff = part && part.layer === layer && (part.head ?? head) === head;
  const stamp = `${tokens.map((one) => one.id).join(" ")} ${inspection.mean_loss}`;
  const columns = attention[0].length;
  return html`<h2>Where it looks</h2>
    <p class="soft small">To understand a token, a layer gathers from the tokens before it. Each of its heads chooses where to look. The stronger the color, the more it takes. Pick a head.</p>
    <div class=${isNarrow ? "stack" : "cols half"}>
      <div class="headgrid" role="group" aria-label="Heads" style=${`--heads: ${columns}`} onKeyDown=${(event) => walk(event, ".headbutton", columns)}>
        ${attention.map((heads, l) => html`<div key=${l} class="headrow"><span class="soft small">Layer ${l + 1}</span>${heads.map((rows, h) => {
          const one = effect(l + 1, h + 1);
          const isPicked = l + 1 === layer && h + 1 === head;
          const worth = one ? `${one.loss_increase >= 0 ? "+" : "−"}${Math.abs(one.loss_increase).toFixed(2)}` : "…";
          return html`<button key=${h} type="button" class=${`headbutton ${part && part.layer === l + 1 && (part.head ?? h + 1) === h + 1 ? "off" : ""}`} aria-pressed=${isPicked ? "true" : "false"} tabindex=${isPicked ? 0 : -1}
            aria-label=${`Layer ${l + 1}, head ${h + 1}. Without it the loss changes by ${worth}.`} onClick=${() => onPick({ layer: l + 1, head: h + 1 })}>
            <${Heat} rows=${square(rows)} description="" className="mini" stamp=${stamp}/>
            <span class="worth" aria-hidden="true"><i style=${{ width: `${one ? Math.min(100, Math.round((100 * Math.max(0, one.loss_increase)) / BAR_NATS)) : 0}%` }}></i></span></button>`;
        })}</div>`)}
        <p class="soft small">The bar below a head shows how much worse the sentence is guessed without it.</p>
      </div>
      <div class="stack">
        <h3>Layer ${layer}, head ${head}</h3>
        <div class="looks" role="img" aria-label=${describe(tokens, weights, chosen)}>${tokens.map((token, index) => html`<span key=${index} class=${index === chosen ? "piece from" : index > chosen ? "piece later" : "piece"}
          style=${index <= chosen ? { "--share": `${Math.round((100 * weights[chosen][index]) / UNITS)}%` } : {}}>${visible(token.text)}</span>`)}</div>
        <p class="soft small">${describe(tokens, weights, chosen)} Choose another token above to see where that one looks.</p>
        <${Heat} rows=${square(weights)} className="large" mark=${chosen} stamp=${`${stamp} ${layer} ${head}`} description=${`All of head ${head} in layer ${layer}: a row for each token, from the first down to the last, and how much it takes from each token before it.`}/>
        <div class="row"><button class=${isOff ? "main" : ""} aria-pressed=${isOff && part.head != null ? "true" : "false"} onClick=${() => onPart(isOff ? null : { layer, head })}>${isOff ? "Switch it on" : "Switch this head off"}</button>
          <button aria-pressed=${part && part.head == null && part.layer === layer ? "true" : "false"} onClick=${() => onPart(part && part.head == null && part.layer === layer ? null : { layer })}>${part && part.head == null && part.layer === layer ? "Switch the layer on" : "Switch the whole layer off"}</button></div>
        <p class="soft small">${worthWords(effect(layer, head), effect(layer, null))}</p>
      </div>
    </div>`;
}

/** @param {any} head @param {any} block */
function worthWords(head, block) {
  if (!head || !block) return "Measuring what the parts are worth …";
  const say = (rise) => (Math.abs(rise) < 0.005 ? "changes by almost nothing" : `${rise > 0 ? "rises" : "falls"} by ${Math.abs(rise).toFixed(2)}`);
  return `For this sentence the loss ${say(head.loss_increase)} without this head, and ${say(block.loss_increase)} without the whole layer.`;
}

/** Rows of a triangle made equally long, in shades from 0 to 1. @param {number[][]} rows */
const square = (rows) => rows.map((row) => Array.from({ length: rows.length }, (_, index) => (index < row.length ? Math.sqrt(row[index] / UNITS) : null)));

/** In words: where a token looks most. @param {any[]} tokens @param {number[][]} weights @param {number} chosen */
function describe(tokens, weights, chosen) {
  const best = weights[chosen].map((weight, index) => ({ weight, index })).sort((a, b) => b.weight - a.weight).slice(0, 3).filter((one) => one.weight >= 50);
  const parts = best.map((one) => `${Math.round((100 * one.weight) / UNITS)}\u00a0% at ${one.index === chosen ? "itself" : `“${readable(tokens[one.index].text).trim()}”`}`);
  return `“${readable(tokens[chosen].text).trim()}” looks ${parts.length ? parts.join(", ") : "at many tokens a little"}.`;
}
