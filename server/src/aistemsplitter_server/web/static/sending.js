// A request that sends bytes, with progress.

import { Refused, Unreachable } from "./asking.js";

export const TRIES = 5; // in a row without a byte more
const NOT_NEW = 412; // the bucket has the file, only its response was lost

/**
 * Send bytes by PUT. fetch has no progress of uploads, so it is an XMLHttpRequest.
 * @param {string} url
 * @param {Object<string, string>} headers
 * @param {Blob} body
 * @param {AbortSignal} signal ends it
 * @param {(bytes: number) => void} onSent the bytes that are sent so far
 * @throws {Refused | Unreachable}
 */
export function put(url, headers, body, signal, onSent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener("abort", abort, { once: true });
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onSent(event.loaded);
    request.onloadend = () => signal.removeEventListener("abort", abort);
    request.onload = () => {
      if (request.status === 200 || request.status === NOT_NEW) resolve();
      else reject(request.status < 500 ? new Refused("", "UPLOAD_REFUSED") : new Unreachable());
    };
    request.onerror = request.onabort = () => reject(new Unreachable());
    request.send(body);
  });
}

/** Wait, but no longer than until the browser is online again. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    window.addEventListener("online", resolve, { once: true });
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
