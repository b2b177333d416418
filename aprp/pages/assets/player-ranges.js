"use strict";
// The box that asks for ranges and shows what comes back.

const MOST_BYTES = 512;
// Browsers give names in small letters; these are not written with a capital for each word.
const SPELT = { etag: "ETag", "www-authenticate": "WWW-Authenticate", "x-request-id": "X-Request-ID" };

/** The parts of an address that a request adds its ranges to, and the request itself. */
function rangeRequest(target, about, said) {
  const [path, ...queries] = target.split("?");
  let query = queries.join("?");
  const wrapped = (text) => encodeURIComponent(text).replace(/%(3D|2C)/g, decodeURIComponent);
  if (said.query && about.parameter) query += `${query ? "&" : ""}${wrapped(about.parameter)}=${wrapped(said.query)}`;
  const more = said.path && about.path ? `/${said.path.replace(/^\//, "").split("/").map(wrapped).join("/")}` : "";
  return {
    url: `${about.base}${path}${more}${query ? `?${query}` : ""}`,
    method: said.method,
    headers: said.header ? { Range: said.header } : {},
  };
}

/** The request as a command for a POSIX shell. */
function asCommand({ url, method, headers }) {
  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const fields = Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`);
  // curl takes braces and brackets for patterns.
  const glob = /[[\]{}]/.test(url) ? ["-g"] : [];
  const how = method === "HEAD" ? ["-sS", "-I"] : ["-sS", "-D -", "-o part"];
  return ["curl", ...glob, ...how, ...fields, quoted(url)].join(" ");
}

/** Bytes as people read them: offset, hexadecimal, text. `start` is where the first one stands. */
function dump(bytes, start) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const line = [...bytes.slice(at, at + 16)];
    const hex = line.map((byte) => byte.toString(16).padStart(2, "0"));
    const text = line.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    const columns = `${hex.slice(0, 8).join(" ").padEnd(23)}  ${hex.slice(8).join(" ").padEnd(23)}`;
    lines.push(`${(start + at).toString(16).padStart(8, "0")}  ${columns}  ${text}`);
  }
  return lines.join("\n");
}

/** What a status means here, in words, and how good it is. */
function meaningOf({ status, redirects, bytes, fields }) {
  if (redirects) return ["warn", "A redirect. Browsers do not tell a page where to; curl does."];
  const problem = detailOf(fields, bytes);
  if (problem) return ["bad", problem];
  if (status === 206) return ["good", "The bytes that were asked for."];
  if (status === 200) return ["good", "The whole file: no range was asked for, or it was one to be ignored."];
  if (status === 416) return ["bad", "There are no such bytes in the file."];
  if (status < 400) return ["warn", ""];
  return ["bad", "An error, as the origin has it."];
}

/** What a problem object (RFC 9457) says, or "". */
function detailOf(fields, bytes) {
  const type = fields.find(([name]) => name === "content-type");
  if (!type || !type[1].startsWith("application/problem+json")) return "";
  try {
    return JSON.parse(new TextDecoder().decode(bytes)).detail || "";
  } catch {
    return "";  // cut off
  }
}

/** Make the box work: `ask` is that of `makeAsk`, `target` the file's path and query. */
function openRanges(ask, target, about) {
  const at = (id) => document.getElementById(id);
  at("ranges").hidden = false;
  at("parameter").textContent = `?${about.parameter}=`;
  at("way-query").hidden = !about.parameter;
  at("way-path").hidden = !about.path;

  const first = { header: "bytes=0-99", query: "", path: "" };
  const examples = [
    ["first 100 bytes", first],
    ["last 500", { header: "bytes=-500", query: "", path: "" }],
    ["two ranges", { header: "bytes=0-9,20-29", query: "", path: "" }],
    ["all ways at once", { header: "bytes=0-99", query: "0-99", path: "0/99" }],
    ["a contradiction", { header: "bytes=0-99", query: "100-199", path: "" }],
    ["past the end", { header: "bytes=999999999999-", query: "", path: "" }],
    ["no range", { header: "", query: "", path: "" }],
  ];
  at("examples").replaceChildren(...examples.filter(
    ([, said]) => (about.parameter || !said.query) && (about.path || !said.path),
  ).map(([text, said]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => {
      at("by-header").value = said.header;
      at("by-query").value = said.query;
      at("by-path").value = said.path;
      at("method").value = "GET";
      at("form").requestSubmit();
    });
    return button;
  }));

  let asked = 0;
  at("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const own = (asked += 1);
    const request = rangeRequest(target, about, {
      header: at("by-header").value.trim(), query: at("by-query").value.trim(),
      path: at("by-path").value.trim(), method: at("method").value,
    });
    at("curl").textContent = asCommand(request);
    let told;
    try {
      told = await ask(request.url, { ...request, most: 4096, redirect: "manual" });
    } catch (error) {
      if (own === asked) showFailure(error);
      return;
    }
    if (own === asked) show(told);
  });

  function showFailure(error) {
    at("answer").hidden = false;
    at("status").className = "bad";
    at("status").textContent = "No answer";
    at("meaning").textContent = `${error.message}: the request could not be sent, or the connection broke.`;
    at("fields").textContent = at("bytes").textContent = "";
  }

  function show(told) {
    const [kind, words] = meaningOf(told);
    at("answer").hidden = false;
    at("status").className = kind;
    at("status").textContent = told.redirects ? "3xx" : `${told.status} ${told.reason}`;
    at("meaning").textContent = told.broke ? `${words} Then the answer broke off: ${told.broke}` : words;
    const named = (name) => SPELT[name] || name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
    at("fields").textContent = told.fields.map(([name, value]) => `${named(name)}: ${value}`).join("\n");
    const shown = told.bytes.slice(0, MOST_BYTES);
    const field = told.fields.find(([name]) => name === "content-range");
    const start = field && told.status === 206 ? Number((/^bytes (\d+)-/.exec(field[1]) || [0, 0])[1]) : 0;
    const more = told.more || told.bytes.length > MOST_BYTES;
    at("bytes-title").textContent = shown.length
      ? `First bytes (${shown.length}${more ? ", and more follow" : ", which is all"})` : "No bytes";
    at("bytes").hidden = !shown.length;
    at("bytes").textContent = dump(shown, start);
  }

  at("copy").addEventListener("click", async () => {
    const command = at("curl");
    getSelection().selectAllChildren(command);
    let done = false;
    try {
      await navigator.clipboard.writeText(command.textContent);
      done = true;
    } catch {
      // Without HTTPS only localhost may use the clipboard; the older way works everywhere.
      done = document.execCommand("copy");
    }
    at("copy").textContent = done ? "Copied" : "Selected";
    setTimeout(() => { at("copy").textContent = "Copy"; }, 2000);
  });
}
