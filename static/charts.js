// The charts on a GPU's page: the readings of the last hour, and every few seconds what is new.
"use strict";

(() => {
  const place = document.getElementById("charts");
  const HOUR = 3600;
  const charts = [];
  let times = [];
  let timer;

  const figures = [...place.querySelectorAll(".chart")].map((figure) => ({
    name: figure.dataset.name,
    unit: figure.dataset.unit,
    most: Number(figure.dataset.most) || null,
    plot: figure.querySelector(".plot"),
    output: figure.querySelector("output"),
    values: [],
  }));
  const scale = { memory: (mib) => mib / 1024 };
  const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const shown = (value) => (value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1));

  function options(figure) {
    const style = getComputedStyle(document.body);
    // Asked for anew at each drawing: the reader's colours may change.
    const soft = () => getComputedStyle(figure.plot.previousElementSibling).color;
    const line = () => getComputedStyle(place.querySelector(".chart")).borderTopColor;
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: `12px ${style.fontFamily}` };
    return {
      width: figure.plot.clientWidth,
      height: figure.plot.clientHeight,
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      legend: { show: false },
      scales: {
        x: { range: () => [Date.now() / 1000 - HOUR, Date.now() / 1000] },
        y: { range: (_, low, high) => [0, figure.most || Math.max(high || 0, 1) * 1.1] },
      },
      axes: [
        { ...axis, space: 70, size: 28, values: (_, ticks) => ticks.map(clock) },
        { ...axis, size: 48, space: 30 },
      ],
      series: [{}, { stroke: () => getComputedStyle(figure.output).borderTopColor, width: 1.5, points: { show: false } }],
      hooks: { setCursor: [(chart) => tell(figure, chart.cursor.idx)] },
    };
  }

  function tell(figure, index) {
    const at = index ?? times.length - 1;
    const value = figure.values[at];
    const when = index === null || index === undefined ? "" : `${new Date(times[at] * 1000).toLocaleTimeString()}  `;
    figure.output.textContent = when + (value === null || value === undefined ? "–" : `${shown(value)} ${figure.unit}`);
  }

  function draw() {
    figures.forEach((figure, i) => {
      charts[i].setData([times, figure.values]);
      if (charts[i].cursor.left < 0) tell(figure, null);
    });
  }

  function add(readings) {
    const first = Date.now() / 1000 - HOUR;
    const keep = (list, all) => list.filter((_, i) => all[i] >= first);
    const all = times.concat(readings.times);
    for (const figure of figures) {
      const convert = scale[figure.name] || ((value) => value);
      const fresh = readings[figure.name].map((value) => (value === null ? null : convert(value)));
      figure.values = keep(figure.values.concat(fresh), all);
    }
    times = keep(all, all);
  }

  async function update() {
    clearTimeout(timer);
    let every = 5;
    try {
      const answer = await fetch(`${place.dataset.url}?since=${times.at(-1) ?? 0}`, { headers: { Accept: "application/json" } });
      if (answer.ok && !answer.redirected) {
        const readings = await answer.json();
        every = readings.every;
        add(readings);
      }
    } catch {
      // the page's own banner says that the server does not answer
    }
    draw();
    if (!document.hidden) timer = setTimeout(update, every * 1000);
  }

  place.hidden = false;
  for (const figure of figures) charts.push(new uPlot(options(figure), [[], []], figure.plot));
  new ResizeObserver(() => {
    figures.forEach((figure, i) => charts[i].setSize({ width: figure.plot.clientWidth, height: figure.plot.clientHeight }));
  }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) update();
  });
  update();
})();
