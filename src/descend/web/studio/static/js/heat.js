// Pictures of numbers as shades, on a canvas: one cell a number, and keys to walk over them.

import { html, useEffect, useRef } from "/static/vendor/preact.min.js";
import { color } from "./chart.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Red, green and blue of `#rrggbb`. @param {string} hex @returns {number[]} */
const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/**
 * A grid of shades, from the color of the card (0) to the accent (1). A null stays empty.
 * @param {{rows: (number | null)[][], description: string, className?: string, stamp: any, mark?: number | null}} props
 */
export function Heat({ rows, description, className = "", stamp, mark = null }) {
  /** @type {{current: HTMLCanvasElement | null}} */
  const ref = useRef(null);
  useEffect(() => {
    const draw = () => ref.current && paint(ref.current, rows, mark);
    draw();
    dark.addEventListener("change", draw);
    return () => dark.removeEventListener("change", draw);
  }, [stamp, mark]);
  return html`<canvas ref=${ref} class=${`heat ${className}`} role=${description ? "img" : undefined} aria-label=${description || undefined} aria-hidden=${description ? undefined : "true"}></canvas>`;
}

/** @param {HTMLCanvasElement} canvas @param {(number | null)[][]} rows @param {number | null} mark a row with a line under it */
function paint(canvas, rows, mark) {
  const width = Math.max(...rows.map((row) => row.length), 1);
  const context = canvas.getContext("2d");
  if (!context) return;
  canvas.width = width;
  canvas.height = Math.max(rows.length, 1);
  const image = context.createImageData(canvas.width, canvas.height);
  const empty = channels(color("card")), full = channels(color("accent")), low = channels(color("wash"));
  const marked = channels(color("warm"));
  rows.forEach((row, y) => row.forEach((value, x) => {
    const strong = y === mark ? marked : full;
    const shade = value == null ? empty : low.map((part, at) => Math.round(part + (strong[at] - part) * Math.min(1, Math.max(0, value))));
    image.data.set([...shade, 255], 4 * (y * canvas.width + x));
  }));
  context.putImageData(image, 0, 0);
}

/**
 * Move the focus among the elements of `selector` by the arrow keys; `across` is how many stand in a row.
 * @param {KeyboardEvent} event @param {string} selector @param {number} [across]
 */
export function walk(event, selector, across = 1) {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
  const place = /** @type {HTMLElement} */ (event.currentTarget);
  const all = /** @type {HTMLElement[]} */ ([...place.querySelectorAll(selector)]);
  const now = all.indexOf(/** @type {HTMLElement} */ (event.target));
  if (!step || now < 0 || !all[now + step]) return;
  all[now + step].focus();
  event.preventDefault();
}
