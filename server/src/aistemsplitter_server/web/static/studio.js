// The studio: songs are chosen, their cost is shown, they are uploaded and followed until they end.

import { ask } from "./asking.js";
import { localTimes, texts, toast } from "./base.js";
import { durationOf, send } from "./uploading.js";

const AT_ONCE = 2; // uploads
const t = texts();
const form = document.getElementById("new");
const pending = document.getElementById("pending");
const songs = document.getElementById("songs");
const balance = document.getElementById("balance");
const limit = Number(form.dataset.limit);
const longest = Number(form.dataset.longest);

/** @type {{file?: File, url?: string, name: string, seconds: number | null, item: HTMLElement}[]} */
let chosen = [];
let uploads = 0; // under way or waiting

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
  for (const chip of document.querySelectorAll("#stems .chip")) {
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
  go.disabled = !chosen.length || !model() || !wanted.length;
  go.textContent = chosen.length > 1 ? t("studio.go_many", { n: chosen.length }) : t("studio.go");
  document.getElementById("summary").textContent = summary(wanted);
}

function summary(wanted) {
  if (!model()) return t("studio.no_model");
  if (!chosen.length) return t("studio.go_hint");
  if (!wanted.length) return t("studio.no_stems");
  const known = chosen.filter((song) => song.seconds !== null);
  if (known.some((song) => song.seconds > longest)) return t("studio.too_long", { time: clock(longest) });
  const seconds = known.reduce((sum, song) => sum + Math.max(1, Math.ceil(song.seconds)), 0);
  const parts = [];
  if (known.length) parts.push(t("studio.cost", { time: credit(seconds) }));
  if (known.length < chosen.length) parts.push(t("studio.cost_later", { n: chosen.length - known.length }));
  const pace = Number(model().dataset.pace);
  if (known.length && pace) parts.push(t("studio.takes", { time: clock(Math.max(1, seconds / pace)) }));
  if (seconds > Number(balance.dataset.seconds)) parts.push(t("studio.not_enough"));
  return parts.join(" ");
}

form.addEventListener("change", (event) => {
  showStems(event);
  summarize();
});
showStems({ target: { name: "model" } });

// Uploading and splitting ---------------------------------------------------------------------

const waiting = [];

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const options = {
    stemModel: model().value,
    outputFormat: form.elements.format.value,
    stems: stems(),
  };
  for (const song of chosen) {
    song.item.remove();
    waiting.push(begin(song, options));
  }
  uploads += chosen.length;
  chosen = [];
  summarize();
  songs.scrollIntoView({ block: "nearest", behavior: "smooth" });
  for (let lane = 0; lane < AT_ONCE; lane += 1) runLane();
});

let lanes = 0;
async function runLane() {
  if (lanes >= AT_ONCE) return;
  lanes += 1;
  while (waiting.length) {
    await waiting.shift()();
    uploads -= 1;
  }
  lanes -= 1;
}

/** Show a song in the list at once; the function that is returned uploads and splits it. */
function begin(song, options) {
  const row = document.getElementById("uploading").content.firstElementChild.cloneNode(true);
  const [name, about] = row.querySelectorAll(".what span");
  const bar = row.querySelector("progress");
  const percent = row.querySelector(".state .number");
  const stop = row.querySelector("button");
  const why = row.querySelector(".why");
  name.textContent = song.name;
  about.textContent = t("studio.upload_waits");
  bar.setAttribute("aria-label", t("studio.uploading", { name: song.name }));
  songs.querySelector(".empty")?.remove();
  songs.prepend(row);
  const cancel = new AbortController();
  stop.addEventListener("click", () => cancel.abort());
  cancel.signal.addEventListener("abort", () => row.remove());
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  return async () => {
    if (cancel.signal.aborted) return;
    try {
      let input = { type: "direct_url", url: song.url };
      if (song.file) {
        about.textContent = t("studio.upload_runs");
        const uploadId = await send(song.file, cancel.signal, (fraction) => {
          bar.value = fraction;
          percent.textContent = `${Math.floor(fraction * 100)} %`;
          if (fraction === 1) about.textContent = t("studio.measuring");
        });
        input = { type: "uploaded_file", uploadId };
      }
      const begun = await ask("/studio/splits", { input, ...options }, { "Idempotency-Key": key }, cancel.signal);
      place(row, begun.html);
      follow();
    } catch (error) {
      if (cancel.signal.aborted) return;
      row.querySelector(".state").replaceChildren();
      about.textContent = "";
      stop.textContent = t("studio.remove");
      why.textContent = error.message || t("frame.failed");
      why.hidden = false;
    }
  };
}

window.addEventListener("beforeunload", (event) => {
  if (uploads) event.preventDefault();
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
    balance.dataset.seconds = told.balance;
    balance.textContent = credit(told.balance);
    summarize();
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
