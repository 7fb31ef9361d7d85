// Songs on their way to the server: a row for each, uploaded two at a time, with another try after
// a failure.

import { Refused, ask } from "./asking.js";
import { percent } from "./base.js";
import { Upload } from "./uploading.js";

const AT_ONCE = 2; // uploads
// What another try cannot change: the file itself or its link was refused.
const FINAL = new Set(["VALIDATION_ERROR", "PAYLOAD_TOO_LARGE"]);

/** @typedef {{file?: File, url?: string, name: string}} Song */

/** The songs that are being uploaded, or whose upload can be tried again. */
export class UploadRows {
  #t;
  #list;
  #onSplit;
  #kept = new Set(); // songs that would be lost with the page
  #waiting = [];
  #lanes = 0;

  /**
   * @param {object} parts
   * @param {(key: string, values?: object) => string} parts.t the texts
   * @param {HTMLElement} parts.list of songs, where the rows are added
   * @param {(row: HTMLElement, html: string) => void} parts.onSplit replaces a row by that of its
   *   split
   */
  constructor({ t, list, onSplit }) {
    this.#t = t;
    this.#list = list;
    this.#onSplit = onSplit;
  }

  /** Whether songs would be lost with the page. */
  get holdsSongs() {
    return this.#kept.size > 0;
  }

  /** Show a song in the list at once, and upload and split it when its turn comes. */
  add(song, options) {
    const row = new Row(song, this.#t);
    const key = crypto.getRandomValues(new Uint8Array(16));
    const job = {
      song,
      options,
      row,
      upload: song.file && new Upload(song.file),
      key: [...key].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
    };
    this.#list.querySelector(".empty")?.remove();
    this.#list.prepend(row.element);
    row.again.addEventListener("click", () => this.#queue(job));
    row.stop.addEventListener("click", () => {
      this.#kept.delete(job);
      job.cancel.abort();
      row.element.remove();
    });
    this.#queue(job);
  }

  #queue(job) {
    job.cancel = new AbortController();
    this.#kept.add(job);
    job.row.waits();
    this.#waiting.push(job);
    this.#startLane();
  }

  async #startLane() {
    if (this.#lanes >= AT_ONCE) return;
    this.#lanes += 1;
    while (this.#waiting.length) await this.#run(this.#waiting.shift());
    this.#lanes -= 1;
  }

  async #run(job) {
    const { song, options, row, upload, key } = job;
    const { signal } = job.cancel;
    if (signal.aborted) return;
    try {
      let input = { type: "direct_url", url: song.url };
      if (upload) {
        row.sent(0);
        const uploadId = await upload.send(signal, {
          progress: (fraction) => row.sent(fraction),
          dropped: () => row.says("studio.upload_dropped"),
        });
        row.sent(1);
        input = { type: "uploaded_file", uploadId };
      }
      const begun = await ask(
        "/studio/splits",
        { input, ...options },
        { "Idempotency-Key": key },
        signal,
      );
      this.#kept.delete(job);
      this.#onSplit(row.element, begun.html);
    } catch (error) {
      if (signal.aborted) return;
      const isFinal = error instanceof Refused && FINAL.has(error.code);
      if (isFinal) this.#kept.delete(job);
      row.failed(error, { isFinal });
    }
  }
}

/** A song's row while it is being uploaded. */
class Row {
  #t;
  #about;
  #state;
  #bar;
  #percent;
  #why;

  constructor(song, t) {
    this.#t = t;
    const template = document.getElementById("uploading").content.firstElementChild;
    this.element = template.cloneNode(true);
    const find = (selector) => this.element.querySelector(selector);
    find(".name").textContent = song.name;
    this.#about = find(".about");
    this.#state = find(".state");
    this.#bar = find("progress");
    this.#percent = find(".state .number");
    this.#why = find(".why");
    this.again = find(".again");
    this.stop = find(".stop");
    this.again.setAttribute("aria-label", t("studio.again_one", { name: song.name }));
    this.#bar.setAttribute("aria-label", t("studio.uploading", { name: song.name }));
  }

  waits() {
    const hadFocus = document.activeElement === this.again;
    this.#state.hidden = false;
    this.#why.hidden = this.again.hidden = true;
    this.stop.textContent = this.#t("studio.cancel");
    this.says("studio.upload_waits");
    if (hadFocus) this.stop.focus();
  }

  says(key) {
    this.#about.textContent = this.#t(key);
  }

  /** Show how much of the file is sent; all of it is checked next. */
  sent(fraction) {
    this.#bar.value = fraction;
    this.#percent.textContent = percent(Math.floor(fraction * 100) / 100);
    this.says(fraction === 1 ? "studio.measuring" : "studio.upload_runs");
  }

  failed(error, { isFinal }) {
    this.#state.hidden = true;
    this.#about.textContent = "";
    this.again.hidden = isFinal;
    this.stop.textContent = this.#t("studio.remove");
    this.#why.replaceChildren(...this.#reasons(error));
    this.#why.hidden = false;
  }

  #reasons(error) {
    if (!(error instanceof Refused)) return [this.#t("studio.upload_failed")];
    if (error.code === "UNAUTHORIZED") {
      const link = document.createElement("a");
      Object.assign(link, { href: "/sign-in", target: "_blank" });
      link.textContent = this.#t("studio.sign_in");
      return [this.#t("studio.signed_out"), " ", link];
    }
    return [error.message || this.#t("studio.upload_refused")];
  }
}
