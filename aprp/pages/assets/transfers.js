// The table of what is being sent at this moment. A row stays with its transfer: it does not flicker.
"use strict";

const Transfers = (() => {
  // Events over which a rate is taken: bytes are counted in pieces, some of them a second apart.
  const OVER = 4;
  const rows = new Map();

  class Row {
    constructor(transfer) {
      const cell = (label) => make("td", { "data-label": label });
      this.file = make("span", { class: "path" });
      this.who = make("span", { class: "soft" });
      [this.range, this.rate, this.time] = ["range", "rate", "time"].map(cell);
      this.rate.className = this.time.className = "number";
      this.bar = make("progress", { "aria-label": `Progress of ${Format.name(transfer.target)}` });
      this.share = make("span", { class: "soft" });
      this.seen = [];
      this.element = make(
        "tr",
        {},
        make("th", { scope: "row" }, this.file, " ", this.who),
        this.range,
        this.rate,
        this.time,
        make("td", { "data-label": "progress", class: "progress" }, this.bar, this.share),
      );
    }

    show(transfer, time) {
      const { sent, length } = transfer;
      this.seen.push({ time, sent });
      if (this.seen.length > OVER + 1) this.seen.shift();
      say(this.file, Format.name(transfer.target));
      this.file.title = transfer.target;
      const { method, status, client } = transfer;
      // The address of the client is told only to those who may know it.
      const words = [method === "GET" ? null : method, status || "waiting", client && `to ${client}`];
      say(this.who, words.filter(Boolean).join(", "));
      say(this.range, Format.range(transfer.range));
      say(this.rate, Format.rate(this.rateOf(transfer)));
      say(this.time, Format.duration(transfer.seconds));
      if (length) {
        this.bar.max = length;
        this.bar.value = sent;
        say(this.share, `${Format.share(sent / length)} of ${Format.size(length)}`);
      } else {
        // How long it will be is not known.
        this.bar.removeAttribute("value");
        say(this.share, `${Format.size(sent)} so far`);
      }
    }

    rateOf(transfer) {
      const [first, last] = [this.seen[0], this.seen.at(-1)];
      const passed = last.time - first.time;
      return passed > 0 ? Math.max(last.sent - first.sent, 0) / passed : transfer.rate;
    }
  }

  function show({ total, shown }, time) {
    const body = document.querySelector("#transfers tbody");
    const seen = new Set();
    // In the order in which they began: rows do not change places while somebody reads.
    const inOrder = [...shown].sort((one, other) => other.seconds - one.seconds);
    inOrder.forEach((transfer, index) => {
      const key = `${transfer.worker} ${transfer.id}`;
      seen.add(key);
      if (!rows.has(key)) rows.set(key, new Row(transfer));
      const row = rows.get(key);
      row.show(transfer, time);
      if (body.children[index] !== row.element) body.insertBefore(row.element, body.children[index] ?? null);
    });
    for (const [key, row] of rows) {
      if (seen.has(key)) continue;
      row.element.remove();
      rows.delete(key);
    }
    const number = document.getElementById("transfers-total");
    say(number, total > shown.length ? `${shown.length} of ${Format.count(total)}, the fastest` : Format.count(total));
    document.getElementById("transfers-none").hidden = total > 0;
    const scroll = document.getElementById("transfers-scroll");
    scroll.hidden = total === 0;
    // Reached by keyboard only where there is something to scroll.
    if (scroll.scrollHeight > scroll.clientHeight) scroll.tabIndex = 0;
    else scroll.removeAttribute("tabindex");
  }

  return { show };
})();
