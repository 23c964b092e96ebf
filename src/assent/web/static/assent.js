// What pages do beyond what they are without a script: keep themselves up to date, and obey the keyboard.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);

function announce(text) {
  const place = byId("announcer");
  if (place) place.textContent = text;
}

// Moments

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function span(seconds) {
  const left = Math.abs(seconds);
  const index = UNITS.findIndex(([size]) => left >= size);
  if (index < 0) return "0 s";
  const [size, unit] = UNITS[index];
  const rest = unit === "h" ? Math.floor((left % size) / 60) : 0;
  return `${Math.floor(left / size)} ${unit}${rest ? ` ${rest} min` : ""}`;
}

function renewMoments() {
  for (const time of all("time[title]")) {
    const distance = (Date.parse(time.dateTime) - Date.now()) / 1000;
    const words = Math.abs(distance) < 5 ? "just now" : distance > 0 ? `in ${span(distance)}` : `${span(distance)} ago`;
    if (time.textContent !== words) time.textContent = words;
  }
}

// Live regions: elements with an id and data-live, which names the events (by their beginnings) that change them.

class Live {
  constructor(url) {
    this.url = url;
    this.regions = () => all("[data-live][id]");
    this.pending = null;
    this.isBusy = false;
  }

  open() {
    const source = new EventSource(this.url);
    source.onopen = () => this.mark(true);
    source.onerror = () => this.mark(false);
    source.onmessage = (event) => this.heard(event);
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }

  mark(isLive) {
    for (const each of all("[data-live-mark]")) {
      each.classList.toggle("is-live", isLive);
      each.textContent = isLive ? "Live" : each.textContent && "Offline";
    }
  }

  heard(event) {
    let type = event.type;
    try { type = JSON.parse(event.data).type || type; } catch { return; }
    const concerned = (region) => region.dataset.live.split(" ").some((start) => type.startsWith(start));
    if (!this.regions().some(concerned)) return;
    clearTimeout(this.pending);
    this.pending = setTimeout(() => this.renew(), 150);
  }

  async renew() {
    if (this.isBusy) { this.pending = setTimeout(() => this.renew(), 300); return; }
    this.isBusy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 401) return this.expired();
      if (answer.ok) this.show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* The stream says when the server is back. */ } finally { this.isBusy = false; }
  }

  show(fresh) {
    let changed = 0;
    for (const region of this.regions()) {
      const next = fresh.getElementById(region.id);
      if (next && signature(next) !== signature(region)) { replace(region, next); changed += 1; }
    }
    if (!changed) return;
    renewMoments();
    prepare(document);
    announce("This page was updated.");
  }

  expired() {
    const link = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
    const note = document.createElement("div");
    note.className = "note warn flash";
    note.setAttribute("role", "alert");
    note.textContent = "Your session has expired. ";
    const anchor = document.createElement("a");
    anchor.href = link;
    anchor.textContent = "Sign in again";
    note.append(anchor);
    if (!document.querySelector(".flash[role=alert]")) byId("main").prepend(note);
    this.mark(false);
  }
}

// What a region says, without what differs from one rendering to the next.
function signature(region) {
  const copy = region.cloneNode(true);
  for (const each of all("time[title]", copy)) each.textContent = "";
  for (const each of all("input, textarea, details", copy)) each.removeAttribute(each.tagName === "DETAILS" ? "open" : "value");
  copy.classList.remove("is-fresh");
  return copy.innerHTML.replace(/\s+(is-current|disabled|aria-busy)(="[^"]*")?/g, "").replace(/\s+/g, " ");
}

// Put a region's new content in its place, and keep what somebody has written, picked, opened and focused.
function replace(region, next) {
  const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
  const kept = all("input[id], textarea[id], select[id], details[id]", region);
  region.replaceWith(next);
  for (const old of kept) {
    const now = byId(old.id);
    if (!now || now.tagName !== old.tagName) continue;
    if (old.type === "checkbox" || old.type === "radio") now.checked = old.checked;
    else if (old.tagName === "DETAILS") now.open = old.open;
    else if (old.type !== "hidden") now.value = old.value;
  }
  prepare(next); // what is picked decides what can be seen, and only that can have the focus
  if (next.matches(".card")) next.classList.add("is-fresh");
  const target = focused && byId(focused);
  if (target) target.focus({ preventScroll: true });
  else if (focused) next.focus({ preventScroll: true });
}

// Lists: picking, and walking by keyboard.

function preparePicks(form) {
  const boxes = all("input[name=approval_id]", form);
  const whole = form.querySelector("[data-pick-all]");
  const count = form.querySelector("[data-pick-count]");
  const update = () => {
    const picked = boxes.filter((box) => box.checked).length;
    count.textContent = picked ? `${picked} picked` : "";
    whole.checked = picked === boxes.length;
    whole.indeterminate = picked > 0 && picked < boxes.length;
    form.querySelector(".bulk.below").classList.toggle("is-needed", picked > 0);
  };
  whole.onchange = () => { for (const box of boxes) box.checked = whole.checked; update(); };
  for (const box of boxes) box.onchange = update;
  update();
}

function walk(step) {
  const rows = all("[data-row]");
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("is-current"));
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1);
  rows.forEach((row, place) => row.classList.toggle("is-current", place === next));
  const link = rows[next].querySelector("a[href]");
  if (link) link.focus();
  rows[next].scrollIntoView({ block: "nearest" });
}

// Edits of arguments: the button is of use once something is changed.

function prepareVerdict(form) {
  const fields = all("textarea[data-original]", form);
  const button = form.querySelector("button[value=approve_changed]");
  if (!button) return;
  const update = () => {
    const changed = fields.filter((one) => one.value !== one.dataset.original);
    for (const one of fields) one.classList.toggle("is-changed", changed.includes(one));
    button.disabled = changed.length === 0;
  };
  for (const one of fields) one.oninput = update;
  update();
}

function prepare(within) {
  for (const form of all("form[data-picks]", within)) preparePicks(form);
  for (const form of all("form[data-verdict]", within)) prepareVerdict(form);
}

// Keyboard

let led = 0; // when a g was pressed
const keysAreOn = () => localStorage.getItem("assent-keys") !== "off";
const isTyping = (target) => target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable], dialog[open]");

function onKey(event) {
  if (event.key === "Escape") for (const each of all("details.account[open]")) { each.open = false; each.querySelector("summary").focus(); }
  if (event.ctrlKey || event.metaKey || event.altKey || !keysAreOn() || isTyping(event.target)) return;
  const go = Date.now() - led < 2000 && all(`[data-go="${CSS.escape(event.key)}"]`)[0];
  led = 0;
  if (go) { event.preventDefault(); go.click(); return; }
  const deed = {
    g: () => { led = Date.now(); },
    j: () => walk(1),
    k: () => walk(-1),
    x: () => document.querySelector("[data-row].is-current input[type=checkbox]")?.click(),
    v: () => (byId("reason") || byId("verdict"))?.focus(),
    "/": () => document.querySelector("[data-search], .filters .input")?.focus(),
    "?": () => byId("keys")?.showModal(),
  }[event.key];
  if (deed) { event.preventDefault(); deed(); }
}

function onClick(event) {
  const opener = event.target.closest("[data-dialog]");
  if (opener) byId(opener.dataset.dialog).showModal();
  for (const each of all("details.account[open]")) if (!each.contains(event.target) || opener) each.open = false;
}

// A form is sent once, however often its button is pressed.
function onSubmit(event) {
  const form = event.target;
  if (form.method === "dialog") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
  setTimeout(() => { delete form.dataset.sent; event.submitter?.removeAttribute("aria-busy"); }, 8000);
}

addEventListener("keydown", onKey);
addEventListener("click", onClick);
addEventListener("submit", onSubmit);
prepare(document);
document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
renewMoments();
setInterval(renewMoments, 15000);
const switchOfKeys = byId("keys-on");
if (switchOfKeys) {
  switchOfKeys.checked = keysAreOn();
  switchOfKeys.onchange = () => localStorage.setItem("assent-keys", switchOfKeys.checked ? "on" : "off");
}
if (document.body.dataset.stream && document.querySelector("[data-live][id]")) new Live(document.body.dataset.stream).open();
