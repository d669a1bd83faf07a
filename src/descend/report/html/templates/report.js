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
  const places = [...document.querySelectorAll("[data-figure]")];
  const draw = () => {
    const colours = dress();
    for (const place of places) {
      const box = place.querySelector(".canvas");
      const options = data[Number(place.dataset.figure)];
      const wanted = place.querySelector("select");
      const option = coloured(options[wanted ? wanted.value : Object.keys(options)[0]], colours);
      option.tooltip = { ...option.tooltip, valueFormatter: short };
      echarts.dispose(box);
      const chart = echarts.init(box, theme(colours), { renderer: "svg" });
      chart.setOption(option);
    }
  };
  draw();
  const resize = () => {
    for (const place of places) echarts.getInstanceByDom(place.querySelector(".canvas"))?.resize();
  };
  dark.addEventListener("change", draw);
  printing.addEventListener("change", draw);
  window.addEventListener("resize", resize);
  for (const choice of document.querySelectorAll("[data-figure] select"))
    choice.addEventListener("change", draw);
})();
