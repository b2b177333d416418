// The list of objects in the cache: search, order, pages, and what an administrator may do to them.
"use strict";

const Objects = (() => {
  const LIMIT = 10;
  // The list is asked for anew after so many milliseconds, sooner where it is known to be old.
  const EVERY = 5000;
  const SOON = 1500;
  // The order that a column begins with: the most first, names from A.
  // What the player can be opened with; a name of another site is no path here.
  const MEDIA = /^(?:video|audio)\//;
  const PATH = /^\/[^/?#][^?#]*$/;
  const FIRST = { name: "asc", size: "desc", present: "desc", views: "desc", used: "desc" };

  const byId = (id) => document.getElementById(id);
  const rows = new Map();
  const picked = new Map();
  const wanted = { search: "", sort: "used", order: "desc", offset: 0 };
  let admin = { allowed: false, token: null, why: null };
  let total = 0;
  let asked = 0;
  let askedAt = 0;
  let old = false;
  let active = new Set();
  let player = false;
  let storing = true;
  // What the question that is open waits with.
  let answered = null;
  // By how many seconds the clock here is ahead of the proxy's.
  let ahead = 0;

  class Row {
    constructor(object) {
      const number = (label) => make("td", { class: "number", "data-label": label });
      this.pick = make("input", { type: "checkbox", "aria-label": `Select ${Format.name(object.name)}` });
      this.pick.addEventListener("change", () => pick(this.object, this.pick.checked));
      this.name = make("span", { class: "path" });
      this.kind = make("span", { class: "soft" });
      [this.size, this.present, this.views, this.used] = ["size", "stored", "watched", "last used"].map(number);
      this.map = new ObjectMap.View();
      this.element = make(
        "tr",
        { "data-id": object.id },
        make("td", { class: "pick" }, this.pick),
        make("th", { scope: "row", class: "name" }, this.name, " ", this.kind),
        this.size,
        this.present,
        this.views,
        this.used,
        make("td", { class: "map" }, this.map.canvas),
      );
    }

    show(object) {
      this.object = object;
      const path = player && MEDIA.test(object.type) && PATH.test(object.name);
      if (path && !this.link) this.name.replaceChildren((this.link = make("a", { href: `play${object.name}` })));
      say(this.link ?? this.name, Format.name(object.name));
      this.name.title = object.name;
      say(this.kind, [object.type, object.fresh ? null : "stale"].filter(Boolean).join(", "));
      say(this.size, Format.size(object.length));
      // The list is sorted by bytes: where it is a part, both are told.
      const { length, present_bytes: present } = object;
      const part = present > 0 && present < length ? `${Format.size(present)}, ` : "";
      say(this.present, part + Format.share(length ? present / length : 1));
      say(this.views, Format.times(object.views));
      say(this.used, Format.ago(Date.now() / 1000 - ahead - object.last_used));
      this.pick.hidden = !admin.allowed;
      this.pick.checked = picked.has(object.id);
      this.map.show(object);
    }

    rest() {
      if (!this.object.map.fills.length && !this.object.map.readers.length) return;
      this.show({ ...this.object, map: { ...this.object.map, fills: [], readers: [] } });
    }
  }

  function pick(object, on) {
    if (on) picked.set(object.id, object.name);
    else picked.delete(object.id);
    showPicked();
  }

  function showPicked() {
    const number = picked.size;
    byId("selected").hidden = !number;
    say(byId("selected"), `${Format.count(number)} selected`);
    for (const id of ["purge", "warm"]) {
      byId(id).hidden = !admin.allowed;
      byId(id).disabled = !number;
    }
    const all = byId("all");
    const here = [...rows.values()].filter((row) => picked.has(row.object.id)).length;
    all.hidden = !admin.allowed;
    all.checked = here > 0 && here === rows.size;
    all.indeterminate = here > 0 && here < rows.size;
  }

  // Ask for the page of the list that is wanted; a later answer wins over an earlier one.
  async function load() {
    old = false;
    asked += 1;
    const mine = asked;
    askedAt = Date.now();
    try {
      const query = new URLSearchParams({ ...wanted, limit: LIMIT });
      const answer = await fetch(`stats/objects?${query}`, { cache: "no-store" });
      const told = await answer.json();
      if (mine !== asked) return;
      if (answer.ok) show(told);
      else tell(`The list cannot be shown: ${told.detail ?? answer.statusText}`);
    } catch {
      // The notice of the lost connection says it; the next event asks again.
      askedAt = 0;
    }
  }

  function show(told) {
    ({ admin, total } = told);
    if (total && told.offset >= total) {
      wanted.offset = Math.floor((total - 1) / LIMIT) * LIMIT;
      load();
      return;
    }
    const body = document.querySelector("#objects tbody");
    const held = document.activeElement;
    const seen = new Set(told.objects.map((each) => each.id));
    for (const [id, row] of rows) {
      if (seen.has(id)) continue;
      row.map.forget();
      row.element.remove();
      rows.delete(id);
    }
    told.objects.forEach((object, index) => {
      if (!rows.has(object.id)) rows.set(object.id, new Row(object));
      const row = rows.get(object.id);
      const place = body.children[index];
      if (place !== row.element) body.insertBefore(row.element, place ?? null);
      row.show(object);
    });
    showPicked();
    showPlace(told.objects.length);
    // An element that is moved loses the focus.
    if (held !== document.activeElement && held.isConnected) held.focus({ preventScroll: true });
  }

  function showPlace(shown) {
    say(byId("objects-total"), Format.count(total));
    byId("objects").hidden = !shown;
    const none = byId("objects-none");
    none.hidden = shown > 0;
    say(none, wanted.search ? `No name has “${wanted.search}” in it.` : nothing());
    const why = byId("why");
    why.hidden = admin.allowed || !admin.why;
    say(why, admin.allowed ? "" : `To look at only: ${admin.why ?? ""}`);
    byId("pages").hidden = total <= LIMIT;
    byId("previous").disabled = wanted.offset === 0;
    byId("next").disabled = wanted.offset + LIMIT >= total;
    say(byId("place"), `${wanted.offset + 1} to ${wanted.offset + shown} of ${Format.count(total)}`);
    for (const button of document.querySelectorAll("[data-sort]")) {
      const order = button.dataset.sort === wanted.sort ? wanted.order : "none";
      const word = { asc: "ascending", desc: "descending", none: "none" }[order];
      button.closest("th").setAttribute("aria-sort", word);
    }
  }

  const nothing = () => (storing ? "Nothing is stored yet." : "Nothing is stored, and nothing is being stored: see Cache.");

  // An event: objects with readers or fills at this moment, the rest of the report, and its time.
  function live({ objects, report, time }) {
    storing = report.cache.storing;
    ahead = Date.now() / 1000 - time;
    if (!total && !wanted.search) say(byId("objects-none"), nothing());
    const now = new Set(objects.map((each) => each.id));
    for (const object of objects) {
      if (rows.has(object.id)) rows.get(object.id).show(object);
      else old ||= !active.has(object.id);
    }
    // What has come to its end was told before the last bytes came.
    for (const id of active) old ||= !now.has(id);
    for (const [id, row] of rows) if (!now.has(id)) row.rest();
    if (rows.size) showPicked();
    active = now;
    const since = Date.now() - askedAt;
    if (!document.hidden && (since > EVERY || (old && since > SOON))) load();
  }

  const tell = (text) => say(byId("told"), text);

  async function act(what) {
    const names = [...picked.values()];
    const ids = [...picked.keys()];
    if (what === "purge" && !(await confirmed(names))) return;
    try {
      const answer = await fetch(`stats/${what}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRF-Token": admin.token },
        body: JSON.stringify({ ids }),
      });
      const told = await answer.json();
      if (answer.ok) {
        picked.clear();
        tell(
          what === "purge"
            ? `${Format.plural(told.purged, "object", "objects")} purged.`
            : `${Format.plural(told.warming, "object is", "objects are")} being fetched whole.`,
        );
      } else {
        tell(`Refused: ${told.detail ?? answer.statusText}`);
      }
    } catch {
      tell("The proxy did not answer: nothing is known to be done.");
    }
    // Also where it was refused: a token that was too old comes anew with the list.
    await load();
    // What is fetched quickly is whole before an event tells of it.
    old = true;
    showPicked();
    // The button that was used can be used no more: the focus is not to be lost.
    if (byId(what).disabled) byId("search").focus({ preventScroll: true });
  }

  // Ask before bytes are thrown away; true for yes.
  function confirmed(names) {
    const dialog = byId("confirm");
    say(byId("confirm-title"), `Purge ${Format.plural(names.length, "object", "objects")}?`);
    say(byId("confirm-text"), "What is stored is thrown away, and fetched again when somebody asks for it.");
    const shown = names.slice(0, 8).map((name) => make("li", {}, Format.name(name)));
    if (names.length > shown.length) shown.push(make("li", {}, `and ${names.length - shown.length} more`));
    byId("confirm-names").replaceChildren(...shown);
    // A question before this one may be closed, and its event not have come yet.
    settle(false);
    dialog.showModal();
    return new Promise((done) => {
      answered = done;
    });
  }

  function settle(yes) {
    const done = answered;
    answered = null;
    done?.(yes);
  }

  function close(yes) {
    settle(yes);
    byId("confirm").close();
  }

  function start(options) {
    ({ player } = options);
    let typing;
    byId("search").addEventListener("input", (event) => {
      clearTimeout(typing);
      typing = setTimeout(() => {
        Object.assign(wanted, { search: event.target.value.trim(), offset: 0 });
        load();
      }, 250);
    });
    for (const button of document.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => {
        const { sort } = button.dataset;
        const order = wanted.sort === sort ? { asc: "desc", desc: "asc" }[wanted.order] : FIRST[sort];
        Object.assign(wanted, { sort, order, offset: 0 });
        load();
      });
    }
    for (const [id, step] of [["previous", -LIMIT], ["next", LIMIT]]) {
      byId(id).addEventListener("click", () => {
        wanted.offset = Math.max(wanted.offset + step, 0);
        load();
      });
    }
    byId("all").addEventListener("change", (event) => {
      // With each row that is picked the box itself is set anew.
      const on = event.target.checked;
      for (const row of rows.values()) {
        row.pick.checked = on;
        pick(row.object, on);
      }
    });
    byId("purge").addEventListener("click", () => act("purge"));
    byId("warm").addEventListener("click", () => act("warm"));
    byId("confirm-yes").addEventListener("click", () => close(true));
    byId("confirm-no").addEventListener("click", () => close(false));
    byId("confirm").addEventListener("close", () => byId("confirm").open || settle(false));
    load();
  }

  return { live, start };
})();
