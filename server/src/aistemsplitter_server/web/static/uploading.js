// A file on its way to the server: with progress, and resumed where the connection dropped.

import { Refused, Unreachable, ask, reach } from "./asking.js";
import { TRIES, pause, put } from "./sending.js";
import { sendParts } from "./upload_parts.js";

const INCOMPLETE = 308; // the server has a part of the file

/** The upload of a file, which can be tried again after it failed. */
export class Upload {
  #file;
  #reservation = null;
  #isDirect = true; // to the bucket, where the service offers that

  /** @param {File} file */
  constructor(file) {
    this.#file = file;
  }

  /**
   * Upload the file, or what the server does not have of it yet.
   * @param {AbortSignal} signal ends it
   * @param {object} on
   * @param {(fraction: number) => void} on.progress
   * @param {() => void} on.dropped the connection has dropped, and there will be another try
   * @returns {Promise<string>} the upload's id
   * @throws {Refused | Unreachable}
   */
  async send(signal, on) {
    const file = this.#file;
    let start = await this.#begin(signal);
    if (!this.#reservation.resumable) {
      if (await this.#sendWhole(signal, on)) return this.#reservation.uploadId;
      this.#isDirect = false;
      this.#reservation = null;
      start = await this.#begin(signal);
    }
    const { partsUrl } = this.#reservation;
    if (partsUrl) {
      if (await sendParts(partsUrl, file, signal, on)) return this.#reservation.uploadId;
      start = await this.#begin(signal);
    }
    const { url, headers } = this.#reservation.direct;
    for (let failures = 0; start < file.size; failures += 1) {
      try {
        await this.#sendFrom(start, url, headers, signal, on.progress);
        break;
      } catch (error) {
        if (error instanceof Refused) this.#reservation = null; // another try needs a new one
        if (signal.aborted || error instanceof Refused || failures >= TRIES) throw error;
        on.dropped();
        await pause(2 ** failures * 500, signal);
        const there = await stored(url, file, signal).catch(() => null);
        if (there > start) failures = 0;
        start = there ?? start;
      }
    }
    return this.#reservation.uploadId;
  }

  /** Send the file to the server, from a byte on. */
  #sendFrom(start, url, headers, signal, onProgress) {
    const { size } = this.#file;
    const range = start ? { "Content-Range": `bytes ${start}-${size - 1}/${size}` } : {};
    const body = start ? this.#file.slice(start) : this.#file;
    const sent = (bytes) => onProgress((start + bytes) / size);
    return put(url, { ...headers, ...range }, body, signal, sent);
  }

  /**
   * Send the file to the bucket, which takes it as a whole.
   * @returns {Promise<boolean>} false where that does not work: browsers refuse to send unless a
   *   rule of the bucket names this page's origin
   */
  async #sendWhole(signal, on) {
    const { url, headers } = this.#reservation.direct;
    let hasBegun = false;
    const sent = (bytes) => {
      hasBegun ||= bytes > 0;
      on.progress(bytes / this.#file.size);
    };
    for (let failures = 0; ; failures += 1) {
      try {
        await put(url, headers, this.#file, signal, sent);
        return true;
      } catch (error) {
        if (signal.aborted) throw error;
        if (error instanceof Refused || !hasBegun) return false;
        if (failures >= TRIES) throw error;
        on.dropped();
        await pause(2 ** failures * 500, signal);
      }
    }
  }

  /** Reserve the upload, unless that was done already; return how many bytes the server has. */
  async #begin(signal) {
    const file = this.#file;
    if (this.#reservation) {
      if (!this.#reservation.resumable) return 0;
      const there = await stored(this.#reservation.direct.url, file, signal);
      if (there !== null) return there;
    }
    this.#reservation = await ask(
      "/studio/uploads",
      {
        filename: file.name,
        contentType: file.type || "application/octet-stream",
        contentLength: file.size,
      },
      { "Direct-Upload": String(this.#isDirect) },
      signal,
    );
    return 0;
  }
}

/** Seconds of a file, as far as this browser can tell; null where it cannot. */
export function durationOf(file) {
  return new Promise((resolve) => {
    const media = new Audio();
    const done = (seconds) => {
      URL.revokeObjectURL(media.src);
      resolve(Number.isFinite(seconds) && seconds > 0 ? seconds : null);
    };
    media.preload = "metadata";
    media.onloadedmetadata = () => done(media.duration);
    media.onerror = () => done(null);
    media.src = URL.createObjectURL(file);
  });
}

/** How many bytes of the file the server has; null if it expects none. */
async function stored(url, file, signal) {
  const response = await reach(url, {
    method: "PUT",
    headers: { "Content-Range": `bytes */${file.size}` },
    signal,
  });
  if (response.status === 409) return file.size; // it is whole, only the response was lost
  if (response.status !== INCOMPLETE) return null;
  const range = response.headers.get("Range");
  return range ? Number(range.split("-")[1]) + 1 : 0;
}
