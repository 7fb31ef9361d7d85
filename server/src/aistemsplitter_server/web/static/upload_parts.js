// A large file on its way to the bucket, part by part.

import { Refused, ask } from "./asking.js";
import { TRIES, pause, put } from "./sending.js";

/**
 * Send the parts of a file that the bucket does not have yet.
 * @param {string} partsUrl returns the next of them
 * @param {File} file
 * @param {AbortSignal} signal ends it
 * @param {object} on
 * @param {(fraction: number) => void} on.progress
 * @param {() => void} on.dropped the connection has dropped, and there will be another try
 * @returns {Promise<boolean>} false where that does not work: browsers refuse to send unless a
 *   rule of the bucket names this page's origin
 * @throws {Refused | Unreachable}
 */
export async function sendParts(partsUrl, file, signal, on) {
  let hasBegun = false;
  let fewest = Infinity; // bytes that were missing
  for (let failures = 0; ; failures += 1) {
    try {
      const missing = await ask(partsUrl, {}, {}, signal);
      if (missing.uploaded) return true;
      if (missing.missingBytes < fewest) failures = 0;
      fewest = Math.min(fewest, missing.missingBytes);
      if (failures > TRIES) return false;
      let done = file.size - missing.missingBytes;
      for (const { start, length, url } of missing.parts) {
        const body = file.slice(start, start + length);
        await put(url, {}, body, signal, (bytes) => {
          hasBegun ||= bytes > 0;
          on.progress((done + bytes) / file.size);
        });
        done += length;
      }
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof Refused && error.code !== "UPLOAD_REFUSED") return false;
      if (!hasBegun) return false;
      if (failures >= TRIES) throw error;
      on.dropped();
      await pause(2 ** failures * 500, signal);
    }
  }
}
