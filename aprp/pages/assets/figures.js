// The figures that the server writes into the page, kept up to date, and the small tables.
"use strict";

// An element with text or children: make("td", {class: "number"}, "12").
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Text that has not changed is not written: a selection and a screen reader's place stay.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const Figures = (() => {
  const follow = (value, path) => path.split(".").reduce((each, name) => each?.[name], value);
  let before = new Map();
  let beforeTime = 0;

  // data-of is the way to the value in the report, data-as the kind of figure.
  function report(told) {
    for (const element of document.querySelectorAll("[data-of]")) {
      const value = follow(told, element.dataset.of);
      if (value === undefined || value === null) continue;
      const text = Format.kinds[element.dataset.as](value);
      const figure = element.firstElementChild;
      if (figure) figure.value = String(value);
      say(figure ?? element, text);
      if (element.dataset.bad !== undefined) element.classList.toggle("some", value > 0);
    }
    const { cache } = told;
    say(document.getElementById("storing"), cache.problem ? `Not storing: ${cache.problem}` : "Storing");
    say(document.getElementById("target"), `Requests go to ${told.target ?? "UPSTREAM"}`);
    const level = document.getElementById("level");
    level.max = Math.max(cache.size.bytes, 1);
    level.value = Math.min(cache.used.bytes, cache.size.bytes);
    if (told.redis) redis(told.redis);
  }

  function redis(told) {
    const state = document.getElementById("redis-state");
    if (!state) return;
    say(state, told.text);
    state.className = told.state === "up" ? "notice good" : told.state === "down" ? "notice bad" : "notice warn";
  }

  function latency(told) {
    const rows = [
      ["p50", "half of them", Format.delay],
      ["p95", "95 of 100", Format.delay],
      ["p99", "99 of 100", Format.delay],
      ["count", "requests", Format.count],
    ];
    fill("quantiles", rows, ([key, words, text]) => [
      key === "count" ? words : `${words} (${key})`,
      text(told.minute[key]),
      text(told.all[key]),
    ]);
  }

  // CPU is the share of one core since the event before.
  function workers(told, time) {
    const passed = time - beforeTime;
    fill("workers", told, (each) => {
      const used = each.cpu_seconds - before.get(each.pid);
      return [
        `${each.worker} (pid ${each.pid})`,
        Format.count(each.requests),
        Format.count(each.active),
        Format.size(each.bytes_to_clients),
        passed > 0 && used >= 0 ? `${Math.round((used / passed) * 100)} %` : "–",
      ];
    });
    before = new Map(told.map((each) => [each.pid, each.cpu_seconds]));
    beforeTime = time;
  }

  // Rows of a table whose first cell is the row's header.
  function fill(id, values, cells) {
    const body = document.querySelector(`#${id} tbody`);
    while (body.rows.length > values.length) body.lastElementChild.remove();
    values.forEach((value, index) => {
      const texts = cells(value);
      const row = body.rows[index] ?? body.appendChild(make("tr"));
      texts.forEach((text, place) => {
        const cell =
          row.cells[place] ??
          row.appendChild(place ? make("td", { class: "number" }) : make("th", { scope: "row" }));
        say(cell, text);
      });
    });
  }

  return { latency, report, workers };
})();
