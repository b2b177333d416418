// The stream of events, one a second; a connection that is lost is noticed and opened again.
"use strict";

const Live = (() => {
  // Milliseconds without an event after which the connection counts as lost, and between tries.
  const SILENCE = 5000;
  const AGAIN = 2000;

  // show: called with each event's object; lost: with the time of the last one; found: without;
  // refused: where the proxy answers, and not with events.
  function start({ show, lost, refused, found }) {
    let source = null;
    let last = Date.now();
    let missing = false;

    function open() {
      source?.close();
      source = new EventSource("stats/events");
      source.addEventListener("message", (event) => {
        last = Date.now();
        if (missing) found();
        missing = false;
        show(JSON.parse(event.data));
      });
      source.addEventListener("error", miss);
    }

    function miss() {
      if (!missing) lost(new Date(last));
      missing = true;
      // The browser goes on by itself unless the answer was another one.
      if (source.readyState === EventSource.CLOSED) refused(new Date(last));
    }

    setInterval(() => {
      const silent = Date.now() - last > SILENCE;
      if (silent) miss();
      // The browser tries again by itself, but not after an answer that was no stream.
      const over = source.readyState === EventSource.CLOSED;
      if (over || (silent && source.readyState === EventSource.OPEN)) open();
    }, AGAIN);
    open();
  }

  return { start };
})();
