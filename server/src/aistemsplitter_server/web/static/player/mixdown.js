// The mix as it is set now, as a file. It is made piece by piece in the same few arrays, so that
// neither the song nor its mix has to lie in memory. An OfflineAudioContext for each piece would be
// simpler, but browsers keep their memory and threads for long.

import { MIXTURE, gain, isHeard } from "./mix.js";

const FULL = 32768;
const HEADER = 44; // bytes
const FRAME = 4; // bytes: two channels of 16 bits

/**
 * @param {import("./pieces.js").Song} song
 * @param {import("./pieces.js").Pieces} pieces
 * @param {import("./mix.js").Mix} mix its volume and the choice of the original do not matter
 * @param {{onProgress?: (done: number) => void, signal?: AbortSignal}} [options]
 * @returns {Promise<Blob>} a WAV of 16 bits; attenuated as a whole if it would exceed full scale
 */
export async function mixdown(song, pieces, mix, { onProgress = () => {}, signal } = {}) {
  const levels = song.tracks.map(({ name }) => levelsOf(mix, name));
  let made = await render(song, pieces, levels, 1, onProgress, signal);
  if (made.peak > 1) made = await render(song, pieces, levels, 1 / made.peak, onProgress, signal);
  return new Blob([header(song.frames, song.sampleRate), ...made.parts], { type: "audio/wav" });
}

async function render(song, pieces, levels, factor, onProgress, signal) {
  const parts = [];
  const [left, right] = [new Float32Array(song.pieceFrames), new Float32Array(song.pieceFrames)];
  const bytes = new ArrayBuffer(song.pieceFrames * FRAME);
  let peak = 0;
  for (let number = 0; number < pieces.count; number += 1) {
    signal?.throwIfAborted();
    const buffers = await pieces.load(number);
    const { length } = buffers[0];
    add(buffers, levels, left, right);
    const steps = new DataView(bytes, 0, length * FRAME);
    for (let at = 0; at < length; at += 1) {
      peak = Math.max(peak, Math.abs(left[at]), Math.abs(right[at]));
      steps.setInt16(at * FRAME, step(left[at] * factor), true);
      steps.setInt16(at * FRAME + 2, step(right[at] * factor), true);
    }
    // What is rendered again to be quieter must not take memory meanwhile.
    if (factor === 1 && peak > 1) parts.length = 0;
    else parts.push(new Blob([steps])); // browsers keep those outside of the page's memory
    onProgress((number + 1) / pieces.count);
  }
  return { parts, peak };
}

/**
 * How much of a track's two channels goes to each side, as the graph does it: the track's level and
 * its StereoPannerNode (https://www.w3.org/TR/webaudio/#stereopanner-algorithm).
 */
function levelsOf(mix, name) {
  if (name === MIXTURE || !isHeard(mix, name)) return null;
  const { volume, pan } = mix.strips[name];
  const level = gain(volume);
  const angle = ((pan <= 0 ? pan + 1 : pan) * Math.PI) / 2;
  const [cos, sin] = [level * Math.cos(angle), level * Math.sin(angle)];
  return pan <= 0
    ? { leftToLeft: level, rightToLeft: cos, leftToRight: 0, rightToRight: sin }
    : { leftToLeft: cos, rightToLeft: 0, leftToRight: sin, rightToRight: level };
}

/** Write the sum of all tracks. */
function add(buffers, levels, left, right) {
  left.fill(0);
  right.fill(0);
  buffers.forEach((buffer, track) => {
    if (!levels[track]) return;
    const { leftToLeft, rightToLeft, leftToRight, rightToRight } = levels[track];
    const [ownLeft, ownRight] = [buffer.getChannelData(0), buffer.getChannelData(1)];
    for (let at = 0; at < buffer.length; at += 1) {
      left[at] += ownLeft[at] * leftToLeft + ownRight[at] * rightToLeft;
      right[at] += ownLeft[at] * leftToRight + ownRight[at] * rightToRight;
    }
  });
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
