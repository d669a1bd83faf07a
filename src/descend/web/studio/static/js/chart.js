// One chart component over ECharts, which is a plain script of its own.

import { html, useEffect, useRef } from "/static/vendor/preact.min.js";

/** @param {string} name */
export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const dark = matchMedia("(prefers-color-scheme: dark)");

export const SERIES = () => [color("accent"), color("second"), color("warm"), "#b3478f", "#7a8a1e", "#2c8cc4", "#8a6a55", "#77808a"];

/** How much larger than usual the page is set, as on a projector. */
export const scale = () => Math.max(1, parseFloat(getComputedStyle(document.documentElement).fontSize) / 16);

/** What all charts share: quiet axes, text in the color of the page. @param {string} xName @param {string} yName @returns {any} an option of ECharts */
export function base(xName, yName) {
  const soft = color("soft"), line = color("line"), size = scale();
  const axis = { axisLine: { lineStyle: { color: line } }, axisLabel: { color: soft, fontSize: 12 * size, hideOverlap: true }, nameTextStyle: { color: soft, fontSize: 12 * size }, splitLine: { lineStyle: { color: line } } };
  return {
    animation: false,
    textStyle: { fontFamily: "system-ui, sans-serif" },
    grid: { left: 46 * size, right: 16, top: 30 * size, bottom: 42 * size },
    tooltip: { trigger: "axis", renderMode: "richText", confine: true, backgroundColor: color("card"), borderColor: line, textStyle: { color: color("ink"), fontSize: 13 * size } },
    xAxis: { type: "value", name: xName, nameLocation: "middle", nameGap: 26 * size, min: 0, ...axis, splitLine: { show: false } },
    yAxis: { type: "value", name: yName, nameLocation: "end", scale: true, ...axis },
  };
}

/**
 * @param {{option: () => object, description: string, low?: boolean, height?: string, stamp: any}} props
 * `option` is called again when `stamp` changes, and when light turns dark.
 */
export function Chart({ option, description, low, height, stamp }) {
  const ref = useRef(null);
  const chart = useRef(null);
  const draw = useRef(option);
  draw.current = option;
  useEffect(() => {
    const element = ref.current;
    chart.current = window.echarts.init(element, null, { renderer: "svg" });
    const redraw = () => chart.current.setOption(draw.current(), { notMerge: true });
    let width = element.clientWidth, high = element.clientHeight;
    // An observer calls once at the start too: the chart would be drawn twice.
    const observer = new ResizeObserver(() => {
      if (element.clientWidth === width && element.clientHeight === high) return;
      width = element.clientWidth;
      high = element.clientHeight;
      chart.current.resize();
      redraw(); // labels and sizes of letters depend on the width
    });
    observer.observe(element);
    dark.addEventListener("change", redraw);
    return () => {
      observer.disconnect();
      dark.removeEventListener("change", redraw);
      chart.current.dispose();
    };
  }, []);
  useEffect(() => chart.current.setOption(draw.current(), { notMerge: true }), [stamp]);
  return html`<div class=${low ? "chart low" : "chart"} ref=${ref} style=${height ? { height } : {}} role="img" aria-label=${description}></div>`;
}
