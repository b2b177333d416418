// Files are put in by choosing or by dropping them, one after another, and can be deleted again.
"use strict";

(() => {
  const section = document.getElementById("upload");
  if (!section) return;
  const { prefix, most, token: needsToken } = section.dataset;
  const MOST = Number(most);
  // A name, a length, a type: what is wrong with these stays wrong.
  const NEVER = new Set([400, 409, 413, 415]);
  // Lines that are over stay on the page, up to so many.
  const KEPT = 50;

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // The form.

  const input = make("input", { type: "file", id: "upload-input", multiple: "", class: "unseen", tabindex: "-1" });
  const choose = make("button", { type: "button", class: "main" }, "Choose files");
  const hint = make("p", { class: "soft" }, "or drop them here. One is sent after another.");
  const drop = make("div", { class: "drop" }, choose, input, hint);
  const token = make("input", { type: "password", id: "upload-token", autocomplete: "off" });
  const list = make("ul", { class: "uploads", "aria-label": "Uploads" });
  const status = make("p", { class: "unseen", role: "status" });
  input.setAttribute("aria-label", "Files to upload");
  section.setAttribute("aria-labelledby", "upload-title");
  section.append(make("h2", { id: "upload-title" }, "Upload"));
  if (needsToken) {
    const label = make("label", { for: "upload-token" }, "Token of this store");
    section.append(make("p", { class: "token" }, label, token));
  }
  section.append(drop, list, status);
  section.hidden = false;

  choose.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    add(input.files);
    // The same file may be chosen again.
    input.value = "";
  });

  // Dropping: anywhere on the page, since a file that misses would be opened in its place.
  let depth = 0;
  const holdsFiles = (event) => [...event.dataTransfer.types].includes("Files");
  const show = () => drop.classList.toggle("over", depth > 0);
  document.addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    depth += 1;
    show();
  });
  document.addEventListener("dragleave", (event) => {
    if (!holdsFiles(event)) return;
    depth = Math.max(0, depth - 1);
    show();
  });
  document.addEventListener("dragover", (event) => {
    if (holdsFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show();
    add(event.dataTransfer.files);
  });

  // Requests.

  function open(method, url) {
    const request = new XMLHttpRequest();
    request.open(method, url);
    // What no field can carry is in no token, and the server says that it is wrong.
    const given = token.value.replace(/[^ -~]/g, "?");
    if (needsToken) request.setRequestHeader("Authorization", `Bearer ${given}`);
    return request;
  }

  // What went wrong, in the proxy's own words where it has some (RFC 9457).
  function words(request) {
    try {
      const { detail } = JSON.parse(request.responseText);
      if (detail) return detail;
    } catch {
      // It was no problem object: another server's answer.
    }
    if (request.status) return `The server answered ${request.status} ${request.statusText}.`;
    return "The connection broke before the file was there. Is the proxy still running?";
  }

  // Whether a file is there still, as it was when it was chosen; a directory never is.
  async function readable(file) {
    try {
      await file.slice(0, 1).arrayBuffer();
      return true;
    } catch {
      return false;
    }
  }

  function done(request) {
    return new Promise((resolve) => {
      for (const name of ["load", "error", "abort", "timeout"]) {
        request.addEventListener(name, () => resolve(name));
      }
    });
  }

  // One file on its way. Those that are there now, by the names that the store has given them:
  const there = new Map();

  class Upload {
    constructor(file) {
      this.file = file;
      // Browsers look at the file when they are first asked: what is changed later is noticed.
      this.size = file.size;
      this.replaces = false;
      this.bar = make("progress", { max: "1", value: "0", "aria-label": `Upload of ${file.name}` });
      this.text = make("span", { class: "soft" });
      this.name = make("span", { class: "name" }, file.name);
      this.acts = make("span", { class: "acts" });
      this.element = make("li", {}, this.name, this.acts, this.bar, this.text);
      list.append(this.element);
      while (list.children.length > KEPT && list.firstChild.dataset.over) list.firstChild.remove();
      this.wait();
    }

    wait() {
      delete this.element.dataset.over;
      this.bar.hidden = false;
      this.bar.value = 0;
      this.say("waits for its turn");
      this.act("Cancel", "Cancel the upload of", () => this.cancel());
    }

    act(text, meaning, run) {
      const button = make("button", { type: "button", "aria-label": `${meaning} ${this.file.name}` }, text);
      button.classList.toggle("danger", text === "Delete");
      button.addEventListener("click", run);
      this.acts.replaceChildren(button);
    }

    say(text, kind = "") {
      this.text.className = kind || "soft";
      this.text.textContent = text;
    }

    cancel() {
      this.cancelled = true;
      if (this.request) this.request.abort();
      else this.over("cancelled");
    }

    over(text, kind = "") {
      this.element.dataset.over = "yes";
      this.bar.hidden = true;
      this.acts.replaceChildren();
      this.say(text, kind);
      status.textContent = `${this.file.name}: ${text}`;
    }

    again() {
      this.cancelled = false;
      this.wait();
      queue(this);
    }

    // The file that it brought is no longer there, or is another one.
    gone(text) {
      this.name.replaceChildren(this.file.name);
      this.over(text);
    }

    async send() {
      if (this.cancelled) return;
      if (needsToken && !token.value) {
        this.over("Enter the token of this store first.", "bad");
        this.act("Try again", "Try again to upload", () => this.again());
        token.focus();
        return;
      }
      if (MOST && this.size > MOST) {
        this.over(`It has ${inBytes(this.size)}, and ${inBytes(MOST)} are the most that is taken.`, "bad");
        return;
      }
      const how = this.replaces ? "?overwrite=1" : "";
      const request = (this.request = open("PUT", `.${prefix}/upload/${encodeURIComponent(this.file.name)}${how}`));
      const began = performance.now();
      request.upload.addEventListener("progress", (event) => {
        this.bar.value = event.total ? event.loaded / event.total : 1;
        const rate = (event.loaded / (performance.now() - began)) * 1000;
        const all = event.loaded === event.total;
        const text = `${inBytes(event.loaded)} of ${inBytes(event.total)}, ${inBytes(rate)}/s`;
        this.say(all ? `${inBytes(event.total)} are sent and being put on the disk` : text);
      });
      const end = done(request);
      request.send(this.file);
      const ending = await end;
      this.request = null;
      if (ending === "abort") {
        this.over("cancelled");
      } else if (request.status === 201) {
        this.stored(JSON.parse(request.responseText));
      } else {
        await this.failed(request);
      }
    }

    stored({ name, size: bytes, url }) {
      there.get(name)?.gone("replaced");
      there.set(name, this);
      this.over(`uploaded, ${inBytes(bytes)}`, "good");
      this.name.replaceChildren(make("a", { href: `.${url}` }, name));
      this.act("Delete", "Delete", () => remove(name));
      refresh();
    }

    async failed(request) {
      if (!request.status && !(await readable(this.file))) {
        this.over("It cannot be read: it is a directory, or was changed or removed. Choose it again.", "bad");
        return;
      }
      // Where another request is writing the file, there is something to wait for.
      const busy = request.status === 409 && request.getResponseHeader("Retry-After");
      // What is no file is not replaced, and the answer to that says so.
      const taken = request.status === 409 && !busy && !this.replaces;
      this.over(taken ? "A file of this name is there already." : words(request), "bad");
      if (taken) {
        this.act("Replace", "Replace", () => {
          this.replaces = true;
          this.again();
        });
      } else if (busy || !NEVER.has(request.status)) {
        this.act("Try again", "Try again to upload", () => this.again());
      }
    }
  }

  const waiting = [];
  let sending = false;

  function add(files) {
    for (const file of files) queue(new Upload(file));
  }

  async function queue(upload) {
    waiting.push(upload);
    if (sending) return;
    sending = true;
    while (waiting.length) await waiting.shift().send();
    sending = false;
  }

  window.addEventListener("beforeunload", (event) => {
    if (sending) event.preventDefault();
  });

  // The list of files: as it is now, with a button to delete each that lies in the store.

  async function refresh() {
    let text;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      text = await answer.text();
    } catch {
      // The page is as it was; what was uploaded says itself that it is there.
      return;
    }
    const page = new DOMParser().parseFromString(text, "text/html");
    const [now, then] = [page, document].map((each) => each.querySelector('[aria-labelledby="files"]'));
    if (now && then) then.replaceWith(now);
    addButtons();
  }

  function addButtons() {
    for (const cell of document.querySelectorAll('[aria-labelledby="files"] td.itself[data-stored]')) {
      const name = cell.closest("tr").querySelector("th.name a").textContent;
      if (cell.querySelector("button")) continue;
      const button = make("button", { type: "button", class: "danger", "aria-label": `Delete ${name}` }, "Delete");
      button.addEventListener("click", () => remove(name));
      cell.append(button);
    }
  }

  async function remove(name) {
    if (!confirm(`Delete ${name}? It cannot be brought back.`)) return;
    const request = open("DELETE", `.${prefix}/files/${encodeURIComponent(name)}`);
    const end = done(request);
    request.send();
    await end;
    if (request.status === 204) {
      there.get(name)?.gone("deleted");
      there.delete(name);
    }
    const text = request.status === 204 ? `${name} is deleted.` : words(request);
    tell(text, request.status === 204 ? "good" : "bad");
    await refresh();
  }

  function tell(text, kind) {
    const notice = make("p", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" }, text);
    section.querySelector(".notice")?.remove();
    list.before(notice);
  }

  addButtons();
})();
