"use strict";
// Requests that may well be answered with an error go out from a worker: browsers write each failed
// request of a page itself into the console, where it would look like a fault of the page.

/** Make a function that asks for an address and gives what came: see `work` for both. */
function makeAsk() {
  function work() {
    // How many bytes of a body are looked at is up to who asks; the rest is not fetched.
    async function answer({ url, method, headers, most, redirect }) {
      const stop = new AbortController();
      // Nothing comes from this browser's own cache. Unless it finds the two fields set, it would also
      // forbid the proxy to answer from its cache, which is what is to be seen here.
      const response = await fetch(url, {
        method, redirect, cache: "no-store", signal: stop.signal,
        headers: { "Cache-Control": "no-transform", Pragma: "no-transform", ...headers },
      });
      const told = {
        status: response.status, reason: response.statusText, fields: [...response.headers],
        redirects: response.type === "opaqueredirect", bytes: new Uint8Array(0), more: false, broke: "",
      };
      if (!response.body) return told;
      const reader = response.body.getReader();
      const pieces = [];
      let count = 0;
      try {
        while (count < most) {
          const { done, value } = await reader.read();
          if (done) break;
          pieces.push(value);
          count += value.length;
        }
      } catch (error) {
        told.broke = error.message;
      }
      const whole = new Uint8Array(count);
      let at = 0;
      for (const piece of pieces) { whole.set(piece, at); at += piece.length; }
      told.bytes = whole.slice(0, most);
      told.more = count >= most;
      stop.abort();
      return told;
    }
    self.onmessage = async ({ data }) => {
      try {
        self.postMessage({ id: data.id, told: await answer(data) });
      } catch (error) {
        self.postMessage({ id: data.id, failed: error.message });
      }
    };
  }

  const address = URL.createObjectURL(new Blob([`"use strict";(${work})();`], { type: "text/javascript" }));
  const worker = new Worker(address);
  const waiting = new Map();
  let last = 0;
  worker.onmessage = ({ data }) => {
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if ("told" in data) resolve(data.told); else reject(new Error(data.failed));
  };
  return (url, { method = "GET", headers = {}, most = 0, redirect = "follow" } = {}) =>
    new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, { resolve, reject });
      worker.postMessage({ id: last, url, method, headers, most, redirect });
    });
}
