// The mix as it is set now, as a file. It is made window by window, so that neither the song nor its
// mix has to be in memory. An OfflineAudioContext for each piece would be simpler, but browsers keep
// their memory and threads for long.

import { sums, transposedSums } from "./summing.js";

const FULL = 32768;
const HEADER = 44; // bytes
const FRAME = 4; // bytes: two channels of 16 bits

/**
 * @param {import("./pieces.js").Song} song
 * @param {import("./pieces.js").Pieces} pieces
 * @param {import("./mix.js").Mix} mix its volume and the choice of the original do not matter
 * @param {{semitones?: number, library?: string, onProgress?: (done: number) => void,
 *          signal?: AbortSignal}} [options] semitones: of the key; library: what changes it
 * @returns {Promise<Blob>} a WAV of 16 bits; attenuated as a whole if it would exceed full scale
 */
export async function mixdown(
  song,
  pieces,
  mix,
  { semitones = 0, library, onProgress = () => {}, signal } = {},
) {
  const windows = () =>
    semitones === 0
      ? sums(song, pieces, mix)
      : transposedSums(song, pieces, mix, { semitones, library });
  let made = await render(song, windows(), 1, onProgress, signal);
  if (made.peak > 1) made = await render(song, windows(), 1 / made.peak, onProgress, signal);
  return new Blob([header(song.frames, song.sampleRate), ...made.parts], { type: "audio/wav" });
}

async function render(song, windows, factor, onProgress, signal) {
  const parts = [];
  const bytes = new ArrayBuffer(song.pieceFrames * FRAME);
  let [peak, frames] = [0, 0];
  signal?.throwIfAborted();
  for await (const [left, right] of windows) {
    signal?.throwIfAborted();
    const { length } = left;
    const steps = new DataView(bytes, 0, length * FRAME);
    for (let at = 0; at < length; at += 1) {
      peak = Math.max(peak, Math.abs(left[at]), Math.abs(right[at]));
      steps.setInt16(at * FRAME, step(left[at] * factor), true);
      steps.setInt16(at * FRAME + 2, step(right[at] * factor), true);
    }
    // What is rendered again to be quieter must not take memory meanwhile.
    if (factor === 1 && peak > 1) parts.length = 0;
    else parts.push(new Blob([steps])); // browsers keep those outside of the page's memory
    frames += length;
    onProgress(frames / song.frames);
  }
  return { parts, peak };
}

function step(sample) {
  return Math.max(-FULL, Math.min(FULL - 1, Math.round(sample * FULL)));
}

function header(frames, sampleRate) {
  const view = new DataView(new ArrayBuffer(HEADER));
  const text = (at, letters) =>
    [...letters].forEach((letter, more) => view.setUint8(at + more, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER - 8 + frames * 4, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 2, true); // channels
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * 4, true);
  view.setUint16(32, 4, true);
  view.setUint16(34, 16, true); // bits
  text(36, "data");
  view.setUint32(40, frames * 4, true);
  return view;
}
