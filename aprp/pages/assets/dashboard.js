// The page of /stats: what the server has written becomes live.
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  for (const each of document.querySelectorAll("[data-live]")) each.hidden = false;
  const state = byId("state");
  state.hidden = false;

  const charts = { throughput: Charts.throughput(byId("throughput")), latency: Charts.latency(byId("latency")) };
  // The last events; rates are taken over them, as bytes are counted in pieces.
  const OVER = 3;
  let events = [];

  // Bytes a second; null where nothing came before, or where the counter began anew.
  function rateOf(event, name) {
    const [first] = events;
    if (!first) return null;
    const sent = event.report[name].bytes - first.report[name].bytes;
    const passed = event.time - first.time;
    return sent >= 0 && passed > 0 ? sent / passed : null;
  }

  function show(event) {
    const rates = ["bytes_to_clients", "bytes_from_origins"].map((name) => rateOf(event, name));
    say(byId("to-clients-now"), Format.rate(rates[0]));
    say(byId("from-origins-now"), Format.rate(rates[1]));
    const { p50, p95, p99 } = event.latency.minute;
    charts.throughput.add(event.time, ...rates);
    charts.latency.add(event.time, p50, p95, p99);
    Figures.report(event.report);
    Figures.latency(event.latency);
    Figures.workers(event.workers, event.time);
    Transfers.show(event.transfers, event.time);
    Objects.live(event);
    say(state, "live");
    state.className = "state on";
    events = [...events, event].slice(-OVER);
  }

  Live.start({
    show,
    lost(since) {
      // A gap in the charts, and no rate over the time that nobody counted.
      const last = events.at(-1);
      if (last) {
        charts.throughput.add(last.time + 1, null, null);
        charts.latency.add(last.time + 1, null, null, null);
      }
      events = [];
      say(byId("lost"), `No connection to the proxy since ${Format.clock(since)}: these figures are old. Trying again.`);
      byId("lost").hidden = false;
      byId("main").classList.add("old");
      say(state, "not connected");
      state.className = "state off";
    },
    refused(since) {
      const why = "too many pages may be open";
      say(byId("lost"), `The proxy sends no events since ${Format.clock(since)} (${why}): these figures are old. Trying again.`);
    },
    found() {
      byId("lost").hidden = true;
      byId("main").classList.remove("old");
    },
  });
  Objects.start(JSON.parse(byId("data").textContent));
})();
