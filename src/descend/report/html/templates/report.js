"use strict";
(async () => {
  const packed = document.getElementById("packed");
  const data = JSON.parse(document.getElementById("options").textContent);
  if (!("DecompressionStream" in window)) return;
  const bytes = Uint8Array.from(atob(packed.textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  const echarts = window.echarts;
  if (!echarts) return;
  document.documentElement.classList.add("drawn");

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const printing = window.matchMedia("print");
  const dress = () => {
    const style = getComputedStyle(document.documentElement);
    const colours = {};
    for (const name of ["ink", "quiet", "line", "paper", "accent", "second", "calm", "fourth", "fifth", "sixth", "band"])
      colours[name] = style.getPropertyValue("--" + name).trim();
    return colours;
  };
  // A colour in the options is a name such as "@accent"; user text never stands under these keys.
  const coloured = (value, colours, key) => {
    if (Array.isArray(value)) return value.map((v) => coloured(v, colours, key));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, colours, k)]));
    if (/color$/i.test(key) && typeof value === "string" && value[0] === "@")
      return colours[value.slice(1)];
    return value;
  };
  const axis = (c) => ({
    axisLine: { lineStyle: { color: c.line } }, axisTick: { lineStyle: { color: c.line } },
    axisLabel: { color: c.quiet }, nameTextStyle: { color: c.quiet },
    splitLine: { lineStyle: { color: c.line } },
  });
  const theme = (c) => ({
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: c.ink },
    legend: { textStyle: { color: c.quiet }, inactiveColor: c.line, pageTextStyle: { color: c.quiet } },
    valueAxis: axis(c), categoryAxis: { ...axis(c), splitLine: { show: false } }, logAxis: axis(c),
    tooltip: { backgroundColor: c.paper, borderColor: c.line, textStyle: { color: c.ink }, confine: true },
  });
  const short = (v) => (typeof v === "number" ? String(Number(v.toPrecision(4))) : v);
  // A power of ten keeps a tick of a steep axis short: 10⁹.
  const raised = (n) => [...String(n)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");
  const tick = (v) => {
    const size = Math.abs(v);
    if (!size || (size < 1e6 && size >= 1e-4)) return v.toLocaleString("en-US", { maximumSignificantDigits: 6 });
    const power = Math.floor(Math.log10(size) + 1e-9), factor = Number((v / 10 ** power).toPrecision(3));
    return (factor === 1 ? "" : factor + "·") + "10" + raised(power);
  };
  const places = [...document.querySelectorAll("[data-figure]")];
  const draw = (inside = document) => {
    const colours = dress();
    for (const place of places.filter((p) => inside.contains(p))) {
      const box = place.querySelector(".canvas");
      if (!box.clientWidth) continue; // folded: drawn once it is opened
      const options = data[Number(place.dataset.figure)];
      const wanted = place.querySelector("select");
      const option = coloured(options[wanted ? wanted.value : Object.keys(options)[0]], colours);
      option.tooltip = { ...option.tooltip, valueFormatter: short };
      for (const name of ["xAxis", "yAxis"])
        if (option[name].type !== "category") option[name].axisLabel.formatter = tick;
      echarts.dispose(box);
      const chart = echarts.init(box, theme(colours), { renderer: "svg" });
      chart.setOption(option);
    }
  };
  draw();
  document.addEventListener("toggle", (event) => event.target.open && draw(event.target), true);
  const reveal = () => document.getElementById(location.hash.slice(1))?.querySelector("details")?.setAttribute("open", "");
  window.addEventListener("hashchange", reveal);
  reveal();
  const folded = [...document.querySelectorAll("details")];
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = folded.filter((d) => !d.open);
    for (const d of opened) d.open = true;
    draw();
  });
  window.addEventListener("afterprint", () => opened.forEach((d) => (d.open = false)));
  const resize = () => {
    for (const place of places) echarts.getInstanceByDom(place.querySelector(".canvas"))?.resize();
  };
  dark.addEventListener("change", () => draw());
  printing.addEventListener("change", () => draw());
  window.addEventListener("resize", resize);
  for (const choice of document.querySelectorAll("[data-figure] select"))
    choice.addEventListener("change", () => draw());
})();
