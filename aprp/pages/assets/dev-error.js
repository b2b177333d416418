// Loads the page again as soon as the backend answers, or has failed in another way.
"use strict";
(() => {
  const { state, key, method } = JSON.parse(document.getElementById("data").textContent);
  const next = document.getElementById("next");
  const lines = document.getElementById("lines");
  const waiting = "aprp starts it again when a file changes, and this page loads itself anew then.";

  // What went wrong is usually said last.
  lines.scrollTop = lines.scrollHeight;
  next.textContent = waiting;

  function again() {
    // Loaded again, the answer to a form would send the form once more.
    if (method === "GET" || method === "HEAD") location.reload();
    else location.replace(location.pathname + location.search);
  }

  async function watch() {
    let after = key;
    for (;;) {
      try {
        const answer = await fetch(`${state}?after=${encodeURIComponent(after)}`, { cache: "no-store" });
        const told = await answer.json();
        if (told.key !== key && (told.state === "running" || told.state === "error")) {
          again();
          return;
        }
        after = told.key;
        next.textContent = told.key === key ? waiting : "A file has changed: the backend is starting.";
      } catch {
        next.textContent = "aprp dev does not answer; this page goes on asking.";
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
  }
  watch();
})();
