// The line charts: uPlot draws them, the legend with the present values is our own.
"use strict";

const Charts = (() => {
  const SECONDS = 300;
  // The first lines are not to be squeezed into a corner: the time axis grows up to its length.
  const FIRST_SECONDS = 60;
  // Line styles as well as colours, so that lines can be told apart without colours.
  const DASHES = [[], [7, 4], [2, 3]];
  const SVG = "http://www.w3.org/2000/svg";

  const steps = (base, factors) =>
    Array.from({ length: 6 }, (_, power) => factors.map((each) => each * base ** power)).flat();
  // Steps of axes: 1, 2, 4 ... of a binary unit; 1, 2, 5 ... of a second.
  const BINARY = steps(1024, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
  const DECIMAL = Array.from({ length: 9 }, (_, power) =>
    [1, 2, 5].map((each) => each * 10 ** (power - 6)),
  ).flat();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function legendLine(index) {
    const svg = document.createElementNS(SVG, "svg");
    const line = document.createElementNS(SVG, "line");
    for (const [key, value] of Object.entries({ width: 28, height: 10, "aria-hidden": "true" })) {
      svg.setAttribute(key, value);
    }
    const look = { x1: 1, x2: 27, y1: 5, y2: 5, "stroke-width": 2.5, "stroke-dasharray": DASHES[index].join(" ") };
    for (const [key, value] of Object.entries(look)) line.setAttribute(key, value);
    line.setAttribute("class", `line-${index}`);
    svg.append(line);
    return svg;
  }

  class Chart {
    // lines: their names in words; text: what a value is called; steps: of the axis of values;
    // least: the axis goes at least so far, so that noise is not blown up.
    constructor(host, { lines, text, incrs, least }) {
      Object.assign(this, { host, lines, text, incrs, least });
      this.data = [[], ...lines.map(() => [])];
      this.plot = null;
      this.at = null;
      this.canvas = host.appendChild(make("div", { class: "plot", role: "img" }));
      const legend = host.appendChild(make("ul", { class: "lines" }));
      this.values = lines.map((name, index) => {
        const value = make("b", {}, "–");
        legend.append(make("li", {}, legendLine(index), ` ${name} `, value));
        return value;
      });
      new ResizeObserver(() => this.#fit()).observe(this.canvas);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    }

    // A value that is null leaves a gap.
    add(time, ...values) {
      const last = this.data[0].at(-1);
      if (last !== undefined && time <= last) this.clear();
      [time, ...values].forEach((value, index) => this.data[index].push(value));
      while (this.data[0][0] < time - SECONDS - 5) this.data.forEach((each) => each.shift());
      if (this.plot) this.plot.setData(this.data);
      else this.#draw();
      this.#tell();
    }

    clear() {
      this.data = this.data.map(() => []);
    }

    #tell() {
      const index = this.at ?? this.data[0].length - 1;
      this.values.forEach((value, line) => say(value, this.text(this.data[line + 1][index] ?? null)));
      const words = this.lines.map((name, line) => {
        const known = this.data[line + 1].filter((each) => each !== null);
        if (!known.length) return `${name}: nothing yet`;
        return `${name}: ${this.text(known.at(-1))} now, at most ${this.text(Math.max(...known))}`;
      });
      this.canvas.setAttribute("aria-label", `Line chart of the last 5 minutes. ${words.join(". ")}.`);
    }

    #fit() {
      const width = this.canvas.clientWidth;
      if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: 190 });
    }

    #draw() {
      this.plot?.destroy();
      const axis = {
        stroke: colour("soft"),
        font: "12px system-ui, sans-serif",
        grid: { stroke: colour("line"), width: 1 },
        ticks: { show: false },
      };
      const colours = [colour("first"), colour("second"), colour("third")];
      const options = {
        width: this.canvas.clientWidth || 300,
        height: 190,
        padding: [8, 26, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 } },
        hooks: { setCursor: [(plot) => this.#point(plot.cursor.idx)] },
        scales: {
          x: { range: () => this.#span() },
          y: { range: (_plot, _low, high) => [0, Math.max((high ?? 0) * 1.1, this.least)] },
        },
        series: [
          {},
          ...this.lines.map((label, index) => ({
            label,
            stroke: colours[index],
            fill: index ? undefined : `${colours[0]}22`,
            width: 2,
            dash: DASHES[index],
            points: { show: false },
          })),
        ],
        axes: [
          { ...axis, size: 28, space: 70, values: (_plot, times) => times.map((each) => clockOf(each)) },
          { ...axis, size: 76, incrs: this.incrs, values: (_plot, values) => values.map(this.text) },
        ],
      };
      this.plot = new uPlot(options, this.data, this.canvas);
    }

    #span() {
      const last = this.data[0].at(-1) ?? Date.now() / 1000;
      const passed = last - (this.data[0][0] ?? last);
      return [last - Math.min(Math.max(passed, FIRST_SECONDS), SECONDS), last];
    }

    #point(index) {
      this.at = index ?? null;
      if (this.data[0].length) this.#tell();
    }
  }

  const clockOf = (seconds) => Format.clock(new Date(seconds * 1000));

  const throughput = (host) =>
    new Chart(host, {
      lines: ["to clients", "from origins"],
      text: Format.rate,
      incrs: BINARY,
      least: 64 * 1024,
    });

  const latency = (host) =>
    new Chart(host, {
      lines: ["half (p50)", "p95", "p99"],
      text: Format.delay,
      incrs: DECIMAL,
      least: 0.001,
    });

  return { latency, throughput };
})();
