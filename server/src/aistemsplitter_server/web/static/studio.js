// The studio: songs are chosen, their cost is shown, they are uploaded and followed until they end.

import { ask } from "./asking.js";
import { localTimes, texts, toast } from "./base.js";
import { keepFocus } from "./focus.js";
import { siteOf } from "./links.js";
import { chosenOptions, priceOf, showOptions } from "./studio_options.js";
import { UploadRows } from "./upload_rows.js";
import { durationOf } from "./uploading.js";

const t = texts();
const form = document.getElementById("new");
const pending = document.getElementById("pending");
const songs = document.getElementById("songs");
const balance = document.getElementById("balance");
const limit = Number(form.dataset.limit);
const longest = Number(form.dataset.longest);

/** @type {{file?: File, url?: string, name: string, seconds: number | null, item: HTMLElement}[]} */
let chosen = [];

// Choosing ------------------------------------------------------------------------------------

document.getElementById("files").addEventListener("change", (event) => {
  addFiles(event.target.files);
  event.target.value = "";
});
document.getElementById("add-url").addEventListener("click", addUrl);
document.getElementById("url").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  addUrl();
});

const drop = document.getElementById("drop");
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  drop.classList.remove("over");
  addFiles(event.dataTransfer.files);
});

function addFiles(files) {
  for (const file of files) {
    if (!file.size) toast(t("studio.empty_file", { name: file.name }), "danger");
    else if (file.size > limit) toast(t("studio.too_large", { name: file.name, size: size(limit) }), "danger");
    else add({ file, name: file.name, detail: size(file.size) });
  }
}

function addUrl() {
  const field = document.getElementById("url");
  const url = field.value.trim();
  if (!url || !field.reportValidity()) return;
  const site = siteOf(url);
  const fault = document.getElementById("url-fault");
  fault.textContent = site ? t("studio.link_is_page", { site }) : "";
  fault.hidden = !site;
  if (site) return;
  field.value = "";
  add({ url, name: url, detail: t("studio.from_url") });
}

function add({ file, url, name, detail }) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.className = "name truncate";
  label.textContent = name;
  const about = document.createElement("span");
  about.className = "faint small";
  about.textContent = detail;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "quiet";
  remove.textContent = t("studio.remove");
  remove.setAttribute("aria-label", t("studio.remove_one", { name }));
  item.append(label, about, remove);
  pending.append(item);
  const song = { file, url, name, seconds: null, item };
  chosen.push(song);
  remove.addEventListener("click", () => {
    chosen = chosen.filter((each) => each !== song);
    item.remove();
    summarize();
  });
  if (file) {
    durationOf(file).then((seconds) => {
      song.seconds = seconds;
      if (seconds !== null) about.textContent = `${clock(seconds)} · ${detail}`;
      summarize();
    });
  }
  summarize();
}

// Options and what they cost ------------------------------------------------------------------

function model() {
  return form.querySelector("input[name=model]:checked");
}

function showStems(event) {
  const picked = model();
  if (!picked) return;
  const choices = picked.dataset.stems.split(",");
  const own = picked.dataset.own.split(",");
  for (const chip of form.querySelectorAll(".chip[data-stem]")) {
    const there = choices.includes(chip.dataset.stem);
    const box = chip.querySelector("input");
    chip.hidden = box.disabled = !there;
    if (event?.target.name === "model") box.checked = own.includes(chip.dataset.stem);
  }
}

function stems() {
  return [...form.querySelectorAll("input[name=stem]:checked:enabled")].map((box) => box.value);
}

function summarize() {
  pending.hidden = !chosen.length;
  const go = document.getElementById("go");
  const wanted = stems();
  const lacking = chosen.length ? missing() : 0;
  go.disabled = !chosen.length || !model() || !wanted.length || lacking > 0;
  showShortage(lacking);
  go.textContent = chosen.length > 1 ? t("studio.go_many", { n: chosen.length }) : t("studio.go");
  document.getElementById("summary").textContent = summary(wanted);
}

function summary(wanted) {
  if (!model()) return t("studio.no_model");
  if (!chosen.length) return t("studio.go_hint");
  if (!wanted.length) return t("studio.no_stems");
  const known = chosen.filter((song) => song.seconds !== null);
  if (known.some((song) => song.seconds > longest)) return t("studio.too_long", { time: clock(longest) });
  const seconds = cost(known);
  const parts = [];
  if (known.length) parts.push(t("studio.cost", { time: credit(seconds) }));
  if (known.length < chosen.length) parts.push(t("studio.cost_later", { n: chosen.length - known.length }));
  const pace = Number(model().dataset.pace);
  if (known.length && pace) parts.push(t("studio.takes", { time: clock(Math.max(1, seconds / pace)) }));
  return parts.join(" ");
}

/** Seconds that songs cost; each of unknown length costs at least one. */
function cost(counted) {
  const options = chosenOptions(form);
  return counted.reduce((sum, { seconds }) => sum + priceOf(seconds ?? 1, options), 0);
}

/** Seconds that the balance is short of the chosen songs' cost. */
function missing() {
  return Math.max(0, cost(chosen) - Number(balance.dataset.seconds));
}

/** Say how much is missing, with a button or a link that helps. */
function showShortage(lacking) {
  const shortage = document.getElementById("shortage");
  shortage.hidden = !lacking;
  if (!lacking) return;
  shortage.querySelector("span").textContent = t("studio.not_enough", { time: credit(lacking) });
  const grant = document.getElementById("grant");
  if (grant) grant.textContent = t("studio.grant", { n: Math.ceil(lacking / 60) });
}

document.getElementById("grant")?.addEventListener("click", async ({ target }) => {
  target.disabled = true;
  try {
    const minutes = Math.ceil(missing() / 60);
    const granted = await ask("/studio/minutes", { minutes, entry: target.dataset.entry });
    target.dataset.entry = granted.nextEntry;
    showBalance(granted.balance);
    document.getElementById("go").focus();
  } catch (error) {
    toast(error.message || t("frame.failed"), "danger");
  } finally {
    target.disabled = false;
  }
});

function showBalance(seconds) {
  balance.dataset.seconds = seconds;
  balance.textContent = credit(seconds);
  summarize();
}

form.addEventListener("change", (event) => {
  showStems(event);
  showOptions(form);
  summarize();
});
showOptions(form);
showStems({ target: { name: "model" } });

// Uploading and splitting ---------------------------------------------------------------------

const uploads = new UploadRows({
  t,
  list: songs,
  onSplit: (row, html) => {
    place(row, html);
    follow();
  },
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const options = {
    stemModel: model().value,
    outputFormat: form.elements.format.value,
    stems: stems(),
    options: chosenOptions(form),
  };
  for (const song of chosen) {
    song.item.remove();
    uploads.add(song, options);
  }
  chosen = [];
  summarize();
  songs.scrollIntoView({ block: "nearest", behavior: "smooth" });
});

window.addEventListener("beforeunload", (event) => {
  if (uploads.holdsSongs) event.preventDefault();
});

// Other pages open beside this one while it has songs that would be lost with it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || link.target || link.hasAttribute("hx-get") || !uploads.holdsSongs) return;
  link.target = "_blank";
  setTimeout(() => link.removeAttribute("target"));
  toast(t("studio.opened_beside"));
});

// Following -----------------------------------------------------------------------------------

let stream = null;

/** Keep the rows of songs that have not ended up to date, by one stream for all. */
function follow() {
  stream?.close();
  stream = null;
  const ids = [...songs.querySelectorAll("[data-live]")].map((row) => row.id).slice(0, 60);
  if (!ids.length) return;
  stream = new EventSource(`/studio/events?${ids.map((id) => `id=${id}`).join("&")}`);
  stream.addEventListener("song", (event) => {
    const told = JSON.parse(event.data);
    const row = document.getElementById(told.id);
    if (row) place(row, told.html);
    showBalance(told.balance);
  });
  stream.addEventListener("end", () => stream.close());
}

/** Put a row of the server's into the place of another, where the keyboard may be. */
function place(row, html) {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  const fresh = template.content.firstElementChild;
  const focused = row.contains(document.activeElement) ? document.activeElement : null;
  const action = focused?.closest("form")?.getAttribute("action");
  row.replaceWith(fresh);
  window.htmx?.process(fresh);
  localTimes(fresh);
  if (focused) (action ? fresh.querySelector(`form[action="${action}"] button`) : fresh.querySelector("a"))?.focus();
}

keepFocus(songs, document.getElementById("songs-title"));
document.addEventListener("htmx:afterSettle", follow);
summarize();
follow();

// Words ---------------------------------------------------------------------------------------

function clock(seconds) {
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Minutes are what is bought, so there are no hours. */
function credit(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function size(bytes) {
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
