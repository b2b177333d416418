// The map of an object: like the buffer bar of a player, with what was watched often above it.
"use strict";

const ObjectMap = (() => {
  // Heights in CSS pixels, from the top: the curve of heat, a gap, the bar, the lines of readers.
  const HEAT = 18;
  const BAR = 22;
  const THICK = 12;
  const HEIGHT = 40;

  const maps = new Set();
  const colours = {};
  let stripes = null;

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["raised", "edge", "ink", "card", "first", "second", "third"]) {
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
    stripes = null;
  }

  // What is to be fetched is hatched: it can be told from what is stored without colours.
  function hatch(context, scale) {
    if (stripes?.scale !== scale) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 6 * scale;
      const pen = tile.getContext("2d");
      pen.scale(scale, scale);
      pen.strokeStyle = colours.second;
      pen.lineWidth = 1.5;
      pen.beginPath();
      for (const x of [-6, 0, 6]) pen.moveTo(x, 6), pen.lineTo(x + 6, 0);
      pen.stroke();
      const pattern = context.createPattern(tile, "repeat");
      pattern.setTransform(new DOMMatrix().scale(1 / scale));
      stripes = { scale, pattern };
    }
    return stripes.pattern;
  }

  // What a screen reader says of an object.
  function describe(object) {
    const { length } = object;
    const at = (position) => Format.share(length ? position / length : 0);
    const list = (words) => words.slice(0, 8).join(", ") + (words.length > 8 ? " and more" : "");
    const parts = [`${at(object.present_bytes)} of ${Format.size(length)} stored`];
    const { fills, readers } = object.map;
    if (fills.length) {
      const spans = fills.map((each) => `${at(each.position)} up to ${at(each.stop)}`);
      parts.push(`being fetched at ${list(spans)}`);
    }
    if (readers.length) {
      const places = readers.map((each) => at(each.position));
      parts.push(`${Format.plural(readers.length, "reader", "readers")} at ${list(places)}`);
    }
    const hottest = object.map.heat.reduce((best, each, index, all) => (each > all[best] ? index : best), 0);
    if (object.views > 0) parts.push(`watched ${Format.times(object.views)}`);
    // Where all was watched alike there is no such place.
    if (object.map.heat[hottest] > 1.2 * object.views) {
      parts.push(`most at ${at((hottest / object.map.columns) * length)}`);
    }
    return parts.join(", ");
  }

  class ObjectMapView {
    constructor() {
      this.canvas = make("canvas", { role: "img", class: "bar" });
      this.object = null;
      maps.add(this);
      watcher.observe(this.canvas);
    }

    show(object) {
      this.object = object;
      const words = describe(object);
      if (this.canvas.getAttribute("aria-label") !== words) this.canvas.setAttribute("aria-label", words);
      this.draw();
    }

    forget() {
      maps.delete(this);
      watcher.unobserve(this.canvas);
    }

    draw() {
      const width = this.canvas.clientWidth;
      if (!this.object || !width) return;
      const scale = devicePixelRatio;
      const [wide, high] = [Math.round(width * scale), Math.round(HEIGHT * scale)];
      if (this.canvas.width !== wide || this.canvas.height !== high) {
        Object.assign(this.canvas, { width: wide, height: high });
      }
      const pen = this.canvas.getContext("2d");
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.clearRect(0, 0, width, HEIGHT);
      const { map, length, slice_size: slice } = this.object;
      const at = (position) => (length ? (position / length) * width : 0);
      drawHeat(pen, map, width);
      pen.save();
      pen.beginPath();
      pen.roundRect(0, BAR, width, THICK, 4);
      pen.clip();
      pen.fillStyle = colours.raised;
      pen.fillRect(0, BAR, width, THICK);
      drawPresent(pen, map, width);
      for (const each of map.fills) {
        pen.fillStyle = colours.card;
        pen.fillRect(at(each.position), BAR, at(each.stop) - at(each.position), THICK);
        pen.fillStyle = hatch(pen, scale);
        pen.fillRect(at(each.position), BAR, at(each.stop) - at(each.position), THICK);
        // Whole slices are stored already: what comes in now is the slice that is not.
        const begin = at(Math.max(each.begin, Math.floor(each.position / slice) * slice));
        pen.fillStyle = colours.second;
        pen.fillRect(begin, BAR, Math.max(at(each.position) - begin, 3), THICK);
      }
      pen.restore();
      pen.strokeStyle = colours.edge;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.roundRect(0.5, BAR + 0.5, width - 1, THICK - 1, 4);
      pen.stroke();
      for (const each of map.readers) drawReader(pen, at(each.position), at(each.stop), width);
    }
  }

  function drawHeat(pen, map, width) {
    // What was watched once is not as high as it goes.
    const most = Math.max(...map.heat, 2);
    const step = width / map.columns;
    pen.fillStyle = colours.third;
    pen.beginPath();
    map.heat.forEach((heat, column) => {
      if (heat <= 0) return;
      const height = Math.max((heat / most) * HEAT, 1);
      pen.rect(column * step, HEAT + 2 - height, step + 0.3, height);
    });
    pen.globalAlpha = 0.5;
    pen.fill();
    pen.globalAlpha = 1;
  }

  // A column that is partly there is drawn as high as its share.
  function drawPresent(pen, map, width) {
    const step = width / map.columns;
    pen.fillStyle = colours.first;
    pen.beginPath();
    map.present.forEach((percent, column) => {
      const height = (THICK * percent) / 100;
      if (height) pen.rect(column * step, BAR + THICK - height, step + 0.3, height);
    });
    pen.fill();
  }

  // The thumb of a player, and a thin line for what it still wants.
  function drawReader(pen, position, stop, width) {
    const middle = BAR + THICK / 2;
    const x = Math.min(Math.max(position, 5), width - 5);
    pen.fillStyle = colours.ink;
    pen.globalAlpha = 0.5;
    pen.fillRect(x, BAR + THICK + 3, Math.max(stop - x, 2), 2);
    pen.globalAlpha = 1;
    pen.fillRect(x - 1, BAR - 3, 2, THICK + 8);
    pen.beginPath();
    pen.arc(x, middle, 5, 0, 2 * Math.PI);
    pen.fill();
    pen.fillStyle = colours.card;
    pen.beginPath();
    pen.arc(x, middle, 2.5, 0, 2 * Math.PI);
    pen.fill();
  }

  const drawAll = () => maps.forEach((each) => each.draw());
  const watcher = new ResizeObserver(drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    drawAll();
  });
  readColours();

  return { View: ObjectMapView, describe };
})();
