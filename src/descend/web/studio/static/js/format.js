// Numbers as a person reads them. A number and its unit stay on one line.

/** @param {number | null | undefined} value @param {number} [digits] */
export const fixed = (value, digits = 3) => (value == null ? "–" : value.toFixed(digits));
/** @param {number | null | undefined} value */
export const whole = (value) => (value == null ? "–" : Math.round(value).toLocaleString("en-US"));
/** @param {number | null | undefined} value */
export const percent = (value) => (value == null ? "–" : `${Math.round(value * 100)}\u00a0%`);

/** The part of a text that is read, where that is less than all of it. @param {number} epochs */
export const part = (epochs) => `${Number(Math.min(100 * epochs, 99).toPrecision(2))}\u00a0%`;

/** A probability, never 0 % and never 100 %. @param {number} value */
export const likely = (value) => (value < 0.01 ? "under 1 %" : value > 0.99 ? "over 99 %" : percent(value));

/** @param {number | null | undefined} value */
export function short(value) {
  if (value == null) return "–";
  for (const [size, sign] of [[1e9, " billion"], [1e6, " million"], [1e3, ",000"]]) {
    if (value >= Number(size)) {
      const count = value / Number(size);
      if (sign === ",000") return value < 1e4 ? whole(value) : `${Math.round(count)}${sign}`;
      return `${count.toFixed(count < 10 ? 1 : 0)}${sign}`;
    }
  }
  return whole(value);
}

/** @param {number | null | undefined} count */
export function bytes(count) {
  if (count == null) return "–";
  for (const [size, sign] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (count >= Number(size)) return `${(count / Number(size)).toFixed(1)}\u00a0${sign}`;
  }
  return `${count} bytes`;
}

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds == null) return "–";
  const rounded = Math.round(seconds);
  if (rounded < 60) return `${rounded}\u00a0s`;
  if (rounded < 3600) {
    const rest = rounded % 60;
    return `${Math.floor(rounded / 60)}\u00a0min${rest && rounded < 600 ? ` ${rest}\u00a0s` : ""}`;
  }
  const minutes = Math.round(rounded / 60);
  return `${Math.floor(minutes / 60)}\u00a0h${minutes % 60 ? ` ${minutes % 60}\u00a0min` : ""}`;
}

/** @param {string} iso */
export function moment(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return "–";
  const now = new Date();
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (now.toDateString() === date.toDateString()) return `today ${time}`;
  const year = now.getFullYear() === date.getFullYear() ? {} : { year: /** @type {"numeric"} */ ("numeric") };
  return `${date.toLocaleDateString("en-US", { month: "short", day: "numeric", ...year })}, ${time}`;
}

/** A sentence of the terminal without the command at its end, and without sentences about a command: the page has buttons. @param {string} text */
export const withoutCommands = (text) => text.replace(/: `descend [^`]*`| \(`descend [^`]*`\)/g, "").replace(/(?<=[.?]) `descend [^`]*`[^.]*\./g, "");

/** A number with its sign. @param {number | null | undefined} value @param {number} [digits] */
export const signed = (value, digits = 3) => (value == null ? "–" : `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(digits)}`);

export const STATES = {
  waiting: "waiting", starting: "getting ready", running: "learning", finished: "finished",
  paused: "paused", "model lost": "model lost",
  stopped: "unfinished", diverged: "diverged", failed: "failed", unreadable: "cannot be read",
};
