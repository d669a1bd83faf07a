// Pictures of measured effects: ranges of evidence, intervals of trials, a waterfall, a forecast.

import { html } from "/static/vendor/preact.min.js";
import { base, Chart, color, scale } from "./chart.js";
import { duration } from "./format.js";

/** Where a value lies on a scale that holds it and its reference range; logarithmic where they span decades. @param {number} value @param {[number | null, number | null]} range */
function scaleOf(value, [low, high]) {
  const known = [value, low, high].filter((one) => one != null);
  const isLog = known.every((one) => one > 0) && Math.max(...known) > 30 * Math.min(...known);
  const at = (x) => (isLog ? Math.log(x) : x);
  let from = Math.min(...known.map(at)), to = Math.max(...known.map(at));
  if (low == null && !isLog) from = Math.min(0, from);
  const room = (to - from || 1) * 0.15;
  from -= low == null && !isLog && from === 0 ? 0 : room;
  to += room;
  return (x) => Math.max(0, Math.min(100, (100 * (at(x) - from)) / (to - from)));
}

/** A measured value as a dot beside its reference range. @param {{row: any}} props */
export function RangePicture({ row }) {
  const [low, high] = row.healthy_range;
  if (low == null && high == null) return null;
  const at = scaleOf(row.value, row.healthy_range);
  const left = low == null ? 0 : at(low);
  const right = high == null ? 100 : at(high);
  const isInside = (low == null || row.value >= low) && (high == null || row.value <= high);
  return html`<svg class="range" viewBox="0 0 100 12" preserveAspectRatio="none" role="img" aria-label=${`${row.title}: ${row.text} ${row.unit}, usual ${row.range}, ${isInside ? "inside" : "outside"}`}>
    <rect class="rail" x="0" y="5" width="100" height="2"/><rect class="usual" x=${left} y="3" width=${Math.max(1, right - left)} height="6"/>
    <rect class=${isInside ? "value" : "value out"} x=${Math.min(98, Math.max(0, at(row.value) - 1))} y="0" width="2" height="12"/></svg>`;
}

/** Measured values with their pictures. @param {{rows: any[]}} props */
export function Evidence({ rows }) {
  if (!rows.length) return null;
  return html`<ul class="evidence plain">${rows.map((row) => html`<li key=${row.metric}>
    <div class="row between"><span>${row.title}</span><strong class="mono">${row.text} ${row.unit}</strong></div>
    <${RangePicture} row=${row}/>
    <p class="soft small">${row.range ? `Usual: ${row.range}. ` : ""}${row.reason ? `${row.reason[0].toUpperCase()}${row.reason.slice(1)}.` : ""}</p></li>`)}</ul>`;
}

/** What helps, what harms, and what may be chance. @param {any} row */
const effectColor = (row) => color(!row.is_significant ? "soft" : row.effect > 0 ? "accent" : "warm");

/** Effects with 95 % intervals, those right of zero help. @param {{rows: any[], unit: string}} props */
export function Effects({ rows, unit }) {
  const names = rows.map((row) => row.change || row.title);
  const height = `${(70 + (innerWidth < 700 ? 44 : 34) * Math.max(2, rows.length)) / 16}rem`;
  const option = () => {
    const isNarrow = innerWidth < 700; // asked at each drawing: a phone may be turned
    const chart = base(`loss lower by (${unit})`, "");
    delete chart.xAxis.min;
    chart.xAxis.splitNumber = isNarrow ? 3 : 6;
    return {
      ...chart,
      grid: { left: 12, right: 24, top: 8, bottom: 44 * scale(), containLabel: true },
      tooltip: { show: false },
      yAxis: { type: "category", data: names, inverse: true, axisLabel: { color: color("ink"), width: isNarrow ? 124 : 260 * scale(), overflow: "break", lineHeight: (isNarrow ? 15 : 17) * scale(), fontSize: (isNarrow ? 12.5 : 14) * scale() }, axisLine: { show: false }, axisTick: { show: false } },
      series: [
        ...rows.filter((row) => row.ci95).map((row) => ({ type: "line", symbol: "none", silent: true, lineStyle: { width: 4, opacity: .55, color: effectColor(row) }, data: [[row.ci95[0], rows.indexOf(row)], [row.ci95[1], rows.indexOf(row)]] })),
        { type: "scatter", symbolSize: 13, data: rows.map((row, index) => ({ value: [row.effect, index], itemStyle: { color: effectColor(row) } })),
          markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: color("ink"), type: "solid" }, data: [{ xAxis: 0 }] } },
      ],
    };
  };
  const words = rows.map((row) => `${row.change || row.title}: ${row.effect.toFixed(3)}${row.ci95 ? ` (${row.ci95.map((x) => x.toFixed(3)).join(" to ")})` : ""}`).join("; ");
  return html`<${Chart} option=${option} height=${height} description=${`Effect of each change. ${words}`} stamp=${words}/>`;
}

/** From the first model to the best, a step for each change that helped. @param {{steps: any[], first: number, best: number, unit: string}} props */
export function Waterfall({ steps, first, best, unit }) {
  const rows = [
    { name: "your run", low: 0, bar: first, kind: "end" },
    ...steps.map((step) => ({ name: step.reason, low: step.end, bar: step.gain, kind: "gain" })),
    { name: "best model", low: 0, bar: best, kind: "end" },
  ];
  const lowest = Math.min(best, ...steps.map((step) => step.end));
  const min = Math.max(0, Number((lowest - 0.6 * (first - lowest) - 0.005).toFixed(2)));
  const option = () => {
    const chart = base(unit, "");
    const paint = { end: color("soft"), gain: color("accent") };
    return {
      ...chart,
      grid: { left: 12, right: 64 * scale(), top: 8, bottom: 44 * scale(), containLabel: true },
      tooltip: { show: false },
      xAxis: { ...chart.xAxis, min, splitNumber: innerWidth < 700 ? 3 : 6 },
      yAxis: { type: "category", inverse: true, data: rows.map((row) => row.name), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: color("ink"), fontSize: 14 * scale(), lineHeight: 17 * scale(), width: innerWidth < 700 ? 110 : 280, overflow: "break" } },
      series: [
        { type: "bar", stack: "all", silent: true, itemStyle: { color: "transparent" }, data: rows.map((row) => (row.low)) },
        { type: "bar", stack: "all", silent: true, barWidth: "60%", data: rows.map((row) => ({ value: row.bar, itemStyle: { color: paint[row.kind], borderRadius: 4 } })),
          label: { show: true, position: "right", color: color("ink"), fontSize: 14 * scale(), formatter: ({ dataIndex }) => (rows[dataIndex].kind === "gain" ? `−${rows[dataIndex].bar.toFixed(3)}` : rows[dataIndex].bar.toFixed(3)) } },
      ],
    };
  };
  const words = `From ${first.toFixed(3)} to ${best.toFixed(3)} ${unit}: ${steps.map((step) => `${step.reason} ${step.gain.toFixed(3)} lower`).join(", ")}.`;
  return html`<p class="soft small">The gray bars are whole models.${min > 0 ? ` They begin at ${min}, not at zero.` : ""}</p><${Chart} option=${option} height=${`${(90 + (innerWidth < 700 ? 60 : 48) * rows.length) / 16}rem`} description=${words} stamp=${words}/>`;
}

/** The best model over time, over what was expected. @param {{improvement: any, end: number}} props */
export function BestOverTime({ improvement, end }) {
  const { points, forecast } = improvement;
  const inMinutes = end >= 120;
  const each = inMinutes ? 60 : 1;
  const option = () => {
    const chart = base(inMinutes ? "minutes" : "seconds", "");
    const x = (seconds) => Number((seconds / each).toFixed(3));
    const steps = points.map((point) => [x(point.seconds), point.best]);
    if (steps.length) steps.push([x(Math.max(improvement.now || 0, points[points.length - 1].seconds)), steps[steps.length - 1][1]]);
    return {
      ...chart,
      grid: { ...chart.grid, top: (innerWidth < 700 ? 54 : 30) * scale() },
      xAxis: { ...chart.xAxis, max: x(end), axisLabel: { ...chart.xAxis.axisLabel, showMaxLabel: Number.isInteger(x(end)) } },
      legend: { top: 0, left: innerWidth < 700 ? 0 : "auto", right: 0, textStyle: { color: color("ink"), fontSize: 13 * scale() }, itemHeight: 8, data: [...(forecast.length ? ["expected"] : []), "best so far", "in training", "each model"] },
      tooltip: { ...chart.tooltip, valueFormatter: (value) => (Array.isArray(value) ? value[1] : Number(value)).toFixed(3) },
      series: [
        { name: "low", type: "line", stack: "band", symbol: "none", silent: true, lineStyle: { opacity: 0 }, tooltip: { show: false }, data: forecast.map((one) => [x(one.seconds), one.interval[0]]) },
        { name: "width", type: "line", stack: "band", symbol: "none", silent: true, lineStyle: { opacity: 0 }, areaStyle: { color: color("second"), opacity: .18 }, tooltip: { show: false }, data: forecast.map((one) => [x(one.seconds), one.interval[1] - one.interval[0]]) },
        { name: "expected", type: "line", symbol: "none", lineStyle: { width: 2, type: "dashed", color: color("second") }, itemStyle: { color: color("second") }, data: forecast.map((one) => [x(one.seconds), one.bits_per_byte]) },
        { name: "best so far", type: "line", step: "end", symbol: "none", lineStyle: { width: 3, color: color("accent") }, itemStyle: { color: color("accent") }, data: steps },
        ...[...new Set(points.map((point) => point.run))].map((run) => ({ name: "in training", type: "line", symbol: "none", silent: true, lineStyle: { width: 1.5, color: color("soft") }, itemStyle: { color: color("soft") }, data: points.filter((point) => point.run === run && !point.is_final).map((point) => [x(point.seconds), point.bits_per_byte]) })),
        { name: "each model", type: "scatter", symbolSize: 12, itemStyle: { color: color("warm") }, data: points.filter((point) => point.is_final).map((point) => [x(point.seconds), point.bits_per_byte]) },
      ],
    };
  };
  const last = points[points.length - 1];
  const expected = forecast[forecast.length - 1];
  const words = `Best model over time in bits per byte.${last ? ` Now ${last.best.toFixed(3)}, after ${duration(last.seconds)}.` : ""}${expected ? ` Expected at the end: ${expected.bits_per_byte.toFixed(3)}.` : ""}`;
  return html`<${Chart} option=${option} description=${words} stamp=${`${points.length} ${forecast.length} ${Math.round(improvement.now || 0)}`}/>`;
}
