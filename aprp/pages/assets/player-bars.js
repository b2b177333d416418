"use strict";
// The bars below the time line: what the cache holds, what this browser holds.

const WIDTH = 1000;
const SVG = "http://www.w3.org/2000/svg";

/** Write seconds as a player does: 1:02:03. */
function inTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Put boxes and lines into a bar: [class, from, to, opacity], parts of its width from 0 to 1. */
function draw(svg, shapes) {
  svg.replaceChildren(...shapes.map(([kind, from, to, opacity]) => {
    const line = to === undefined;
    const shape = document.createElementNS(SVG, line ? "line" : "rect");
    shape.setAttribute("class", kind);
    if (line) {
      for (const [name, value] of Object.entries({ x1: from * WIDTH, x2: from * WIDTH, y1: -1, y2: 11 })) {
        shape.setAttribute(name, value);
      }
      return shape;
    }
    shape.setAttribute("x", from * WIDTH);
    shape.setAttribute("width", Math.max(0, to - from) * WIDTH);
    shape.setAttribute("height", 10);
    if (opacity !== undefined && opacity < 1) shape.setAttribute("fill-opacity", opacity);
    return shape;
  }));
}

/** The runs of columns with the same share of bytes that are there: [from, to, share]. */
function runs(present) {
  const found = [];
  present.forEach((percent, column) => {
    const before = found[found.length - 1];
    const share = percent / 100;
    if (before && before[2] === share && before[1] === column) before[1] = column + 1;
    else if (share) found.push([column, column + 1, share]);
  });
  return found.map(([from, to, share]) => [from / present.length, to / present.length, share]);
}

/** The parts of which all or some is there: [from, to]; those that touch are one. */
function stored(present) {
  const found = [];
  for (const [from, to] of runs(present)) {
    const before = found[found.length - 1];
    if (before && before[1] === from) before[1] = to; else found.push([from, to]);
  }
  return found;
}

/** What is drawn for an object of the statistics, and `here`, the place of this player. */
function shapesOf(object, here) {
  const { map, length } = object;
  // Below what is there: the rest of a fetch may have parts in it that are.
  const shapes = map.fills.map((fill) => ["wanted", fill.position / length, Math.min(1, fill.stop / length)]);
  shapes.push(...runs(map.present).map(([from, to, share]) => ["present", from, to, 0.35 + 0.65 * share]));
  for (const fill of map.fills) shapes.push(["coming", fill.begin / length, fill.position / length]);
  for (const reader of map.readers) shapes.push(["reader", Math.min(1, reader.position / length)]);
  if (here !== null) shapes.push(["here", here]);
  return shapes;
}

/** The bar's content in words. */
function wordsOf(object) {
  if (!object.length) return "An empty file.";
  const share = object.present_bytes / object.length;
  const percent = share > 0.99 && share < 1 ? 99 : Math.round(share * 100);
  const some = (count, one, more) => (count === 1 ? one : `${count} ${more}`);
  const { fills, readers } = object.map;
  const words = [`${percent} % of ${inBytes(object.length)} is in the cache (${inBytes(object.present_bytes)})`];
  if (fills.length) words.push(some(fills.length, "one part is being fetched", "parts are being fetched"));
  if (readers.length) words.push(some(readers.length, "one reader", "readers"));
  return `${words.join("; ")}.${object.fresh === false ? " It is stale: the origin is asked before it is used." : ""}`;
}
