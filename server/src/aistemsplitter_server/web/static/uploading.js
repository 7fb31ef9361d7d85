// A file on its way to the server: with progress, and gone on with where the line broke.

import { ask } from "./asking.js";

const TRIES = 6; // in a row without a byte more
const INCOMPLETE = 308; // the server's "there are bytes missing"

/**
 * Upload a file.
 * @param {File} file
 * @param {AbortSignal} signal ends it
 * @param {(fraction: number) => void} onProgress
 * @returns {Promise<string>} the upload's id
 */
export async function send(file, signal, onProgress) {
  const type = file.type || "application/octet-stream";
  const reservation = await ask(
    "/studio/uploads",
    { filename: file.name, contentType: type, contentLength: file.size },
    {},
    signal,
  );
  const { url, headers } = reservation.direct;
  let start = 0;
  for (let failures = 0; ; failures += 1) {
    try {
      await put(url, headers, file, start, signal, onProgress);
      return reservation.uploadId;
    } catch (error) {
      if (signal.aborted || error.final || failures >= TRIES) throw error;
      await pause(2 ** failures * 500, signal);
      const there = await stored(url, file, signal).catch(() => null);
      if (there === file.size) return reservation.uploadId;
      if (there > start) failures = 0;
      start = there ?? start;
    }
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

/** Send the bytes from `start` on. fetch has no progress of uploads, so it is an XMLHttpRequest. */
function put(url, headers, file, start, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener("abort", abort, { once: true });
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    if (start) {
      request.setRequestHeader("Content-Range", `bytes ${start}-${file.size - 1}/${file.size}`);
    }
    request.upload.onprogress = (event) => onProgress((start + event.loaded) / file.size);
    request.onloadend = () => signal.removeEventListener("abort", abort);
    request.onload = () => {
      if (request.status === 200) return resolve();
      const error = new Error(message(request.responseText));
      error.final = request.status >= 400 && request.status < 500;
      return reject(error);
    };
    request.onerror = request.onabort = () => reject(new Error(""));
    request.send(start ? file.slice(start) : file);
  });
}

/** How many bytes of the file the server has. */
async function stored(url, file, signal) {
  const answer = await fetch(url, {
    method: "PUT",
    headers: { "Content-Range": `bytes */${file.size}` },
    signal,
  });
  if (answer.status === 409) return file.size; // it is whole, only the answer was lost
  if (answer.status !== INCOMPLETE) return null;
  const range = answer.headers.get("Range");
  return range ? Number(range.split("-")[1]) + 1 : 0;
}

function message(text) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return "";
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new Error(""));
    }, { once: true });
  });
}
