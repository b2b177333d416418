"use strict";
// /play/<path>: plays <path>, and shows which of its bytes are where.

const about = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const ask = makeAsk();

// Percent-encoding and query stay as they are: what follows /play is the address of the file. The
// host is put before it, since a path that begins with // would name another one.
const begin = location.pathname.indexOf(about.play);
const mount = location.origin + location.pathname.slice(0, begin);
const path = location.pathname.slice(begin + about.play.length);
const target = path + location.search;
const url = mount + target;
about.base = mount;

let media = null;
let dragged = false;  // the time line's handle is held: it does not follow the film
let known = null;

const AUDIO = /\.(aac|flac|m4a|mka|mp3|oga|ogg|opus|wav|weba)$/i;
const UNTOLD = ["", "application/octet-stream", "binary/octet-stream"];
const PLAYLISTS = /^(application|audio)\/(vnd\.apple\.mpegurl|x-mpegurl|mpegurl|dash\+xml)$/;

function readable(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;  // bytes that are no UTF-8
  }
}

function tell(text, kind = "bad") {
  at("problem").hidden = !text;
  at("problem").className = `notice ${kind}`;
  at("problem").textContent = text;
}

// What the file is.

async function look() {
  let told = await ask(url, { method: "HEAD" });
  // An error's words are in its body; and some servers know no HEAD.
  if (told.status >= 400) told = await ask(url, { headers: { Range: "bytes=0-0" }, most: 8192 });
  return told;
}

function fieldOf(told, name) {
  const found = told.fields.find(([each]) => each === name);
  return found ? found[1] : "";
}

function lengthOf(told) {
  const total = /\/(\d+)$/.exec(fieldOf(told, "content-range"));
  const text = total ? total[1] : told.status === 206 ? "" : fieldOf(told, "content-length");
  return text ? Number(text) : null;
}

function showFacts(told) {
  const length = lengthOf(told);
  const facts = [
    ["Type", fieldOf(told, "content-type") || "not told"],
    ["Size", length === null ? "not told" : `${inBytes(length)} (${length} bytes)`],
    ["Changed", fieldOf(told, "last-modified")],
    ["ETag", fieldOf(told, "etag")],
  ];
  at("facts").replaceChildren(...facts.filter(([, value]) => value).map(([name, value]) => {
    const line = document.createElement("div");
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    line.append(term, text);
    return line;
  }));
}

/** "audio" or "video": the element for a media type; null where there is none. */
function elementFor(type) {
  if (type.startsWith("audio/") && !PLAYLISTS.test(type)) return "audio";
  if (type.startsWith("video/") || PLAYLISTS.test(type) || type === "application/ogg") return "video";
  if (UNTOLD.includes(type)) return AUDIO.test(path) ? "audio" : "video";
  return null;
}

// Playing.

const WORDS = {
  1: () => "Playing was stopped.",
  2: () => "The transfer broke off while it was playing: the proxy, its origin or the network has gone away.",
  3: () => "The browser cannot decode it: the file is damaged, or uses something that the browser does not know.",
  4: (type) => PLAYLISTS.test(type)
    ? `This browser does not play ${type} by itself. Players such as VLC, mpv and ffplay take the file’s address.`
    : `The browser cannot play it: it does not know ${type ? `the type ${type}` : "its type"}, what is inside, or the file is `
      + "damaged. Its bytes can be looked at below; players such as VLC, mpv and ffplay take the file’s address.",
};

function play(kind, type) {
  media = document.createElement(kind);
  media.controls = true;
  media.preload = "metadata";
  media.setAttribute("playsinline", "");
  media.setAttribute("aria-label", at("name").textContent);
  media.addEventListener("error", () => {
    const { code, message } = media.error;
    at("stage").hidden = !duration();
    tell(WORDS[code](type) + (message ? ` (${message})` : ""));
  });
  media.addEventListener("loadedmetadata", () => {
    tell("");
    at("position").disabled = false;
    for (const id of ["cached", "buffered"]) at(id).dataset.seek = "";
    showParts();
  });
  for (const event of ["progress", "timeupdate", "seeking", "loadedmetadata", "durationchange", "ended"]) {
    media.addEventListener(event, showTime);
  }
  media.src = url;
  at("stage").replaceChildren(media);
}

const duration = () => (media && Number.isFinite(media.duration) ? media.duration : 0);
const here = () => (duration() ? media.currentTime / duration() : null);

function seek(seconds) {
  if (duration()) media.currentTime = Math.min(Math.max(0, seconds), duration());
}

function showTime() {
  const whole = duration();
  const spans = [];
  for (let index = 0; whole && index < media.buffered.length; index += 1) {
    spans.push([media.buffered.start(index) / whole, media.buffered.end(index) / whole]);
  }
  const shapes = spans.map(([from, to]) => ["present", from, to]);
  if (whole) shapes.push(["here", here()]);
  draw(at("buffered"), shapes);
  const held = spans.reduce((sum, [from, to]) => sum + (to - from), 0) * whole;
  at("browser-text").textContent = whole
    ? `This browser holds ${inTime(held)} of ${inTime(whole)}${spans.length > 1 ? `, in ${spans.length} parts` : ""}.` : "";
  const slider = at("position");
  if (whole && !dragged) slider.value = Math.round(here() * 1000);
  slider.setAttribute("aria-valuetext", whole ? `${inTime(media.currentTime)} of ${inTime(whole)}` : "not known");
  showCache();
}

at("position").addEventListener("input", () => seek((at("position").value / 1000) * duration()));
at("position").addEventListener("pointerdown", () => { dragged = true; });
for (const event of ["pointerup", "pointercancel"]) {
  at("position").addEventListener(event, () => { dragged = false; });
}
for (const id of ["cached", "buffered"]) {
  at(id).addEventListener("click", (event) => {
    const box = at(id).getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * duration());
  });
}

// The cache.

function showCache() {
  draw(at("cached"), known && known.length ? shapesOf(known, here()) : here() === null ? [] : [["here", here()]]);
}

let shown = "";

function showParts() {
  const spans = known && known.length ? stored(known.map.present) : [];
  at("chapters").hidden = !spans.length || !duration();
  // What has not changed is left alone: a button in it may have the keyboard.
  const now = JSON.stringify([spans, duration()]);
  if (now === shown || !duration()) return;
  shown = now;
  const buttons = spans.slice(0, 24).map(([from, to]) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${inTime(from * duration())} – ${inTime(to * duration())}`;
    button.title = `bytes ${Math.floor(from * known.length)} to ${Math.ceil(to * known.length) - 1}, about`;
    button.setAttribute("aria-label", `Play from ${inTime(from * duration())}, in the cache until ${inTime(to * duration())}`);
    button.addEventListener("click", () => seek(from * duration()));
    item.append(button);
    return item;
  });
  if (spans.length > 24) {
    const item = document.createElement("li");
    item.textContent = `and ${spans.length - 24} more`;
    buttons.push(item);
  }
  at("parts").replaceChildren(...buttons);
}

/** The address under which the cache has the file: without what lets a visitor in. */
function storedTarget() {
  if (!about.signed) return target;
  const kept = location.search.slice(1).split("&").filter((pair) => !/^(expires|signature)(=|$)/.test(pair));
  return path + (kept.join("&") ? `?${kept.join("&")}` : "");
}

let asking = false;

async function lookInCache() {
  if (asking || document.visibilityState !== "visible") return;
  asking = true;
  try {
    const told = await ask(`${mount}${about.object}?target=${encodeURIComponent(storedTarget())}`, { most: 1 << 20 });
    known = told.status === 200 ? JSON.parse(new TextDecoder().decode(told.bytes)) : null;
    at("cache-text").textContent = known ? wordsOf(known)
      : told.status === 404 ? "Nothing of it is in the cache." : `The cache does not tell what it holds (${told.status}).`;
  } catch (error) {
    known = null;
    at("cache-text").textContent = `The proxy does not answer (${error.message}).`;
  } finally {
    asking = false;
  }
  showCache();
  showParts();
}

// Keys.

const KEYS = {
  " ": () => (media.paused ? media.play() : media.pause()),
  k: () => (media.paused ? media.play() : media.pause()),
  arrowleft: () => seek(media.currentTime - 5),
  arrowright: () => seek(media.currentTime + 5),
  j: () => seek(media.currentTime - 10),
  l: () => seek(media.currentTime + 10),
  m: () => { media.muted = !media.muted; },
  f: () => (document.fullscreenElement ? document.exitFullscreen() : media.requestFullscreen()),
};

document.addEventListener("keydown", async (event) => {
  const busy = event.target.closest("input:not(#position), select, textarea, button, a, summary, pre");
  if (!media || busy || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  // The element's own controls have keys, too, and so has the time line.
  if (event.target === media && !/^[a-z0-9]$/.test(key)) return;
  if (event.target === at("position") && key.startsWith("arrow")) return;
  const does = /^[0-9]$/.test(key) ? () => seek((Number(key) / 10) * duration()) : KEYS[key];
  if (!does) return;
  event.preventDefault();
  try {
    await does();
  } catch (error) {
    if (!media.error) tell(`The browser refuses: ${error.message}`);
  }
});

// Beginning.

async function start() {
  at("stats").href = mount + about.stats;
  at("home").href = `${mount}/`;
  at("home").hidden = !about.home;
  if (!path || path === "/") {
    at("open").hidden = false;
    at("open").addEventListener("submit", (event) => {
      event.preventDefault();
      const wanted = at("wanted").value.trim().replace(/^\/*/, "/");
      location.assign(`${mount}${about.play}${wanted.replace(/#/g, "%23")}`);
    });
    return;
  }
  const name = readable(path.split("/").filter(Boolean).pop() || path);
  document.title = `${name} – aprp`;
  at("name").textContent = name;
  at("itself").href = url;
  at("itself").hidden = false;
  openRanges(ask, target, about);
  let told;
  try {
    told = await look();
  } catch (error) {
    tell(`There is no answer for ${readable(path)}: ${error.message}. The proxy is gone, or the origin redirects to another host.`);
    return;
  }
  if (told.status >= 400) {
    const words = detailOf(told.fields, told.bytes);
    const missing = told.status === 404 ? "There is no such file at the origin." : "It cannot be played.";
    tell(`${told.status} ${told.reason}: ${words || missing} (${readable(path)})`);
    return;
  }
  const type = fieldOf(told, "content-type").split(";")[0].trim().toLowerCase();
  at("screen").hidden = false;
  showFacts(told);
  const kind = elementFor(type);
  if (!kind) {
    tell(`This is ${type}: neither sound nor film, so there is nothing to play. Its bytes can be looked at below.`, "warn");
    return;
  }
  if (lengthOf(told) === 0) {
    tell("The file is empty: it has 0 bytes, so there is nothing to play.", "warn");
    return;
  }
  at("timeline").hidden = false;
  play(kind, type);
  if (!about.cache) {
    at("cache-text").textContent = "The cache is switched off (CACHE_DIR is empty, or CACHE_SIZE is 0).";
    return;
  }
  lookInCache();
  setInterval(lookInCache, 1000);
  document.addEventListener("visibilitychange", lookInCache);
}

start();
