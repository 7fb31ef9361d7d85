// The mix as it is set now, as a file: rendered piece by piece through the same graph, so that
// neither the song nor its mix has to lie in memory.

import { Graph } from "./graph.js";
import { discard } from "./pieces.js";

const FULL = 32768;
const HEADER = 44; // bytes
const FRAME = 4; // bytes: two channels of 16 bits

/**
 * @param {import("./pieces.js").Song} song
 * @param {import("./pieces.js").Pieces} pieces
 * @param {import("./mix.js").Mix} mix the volume of all and the original have no part in it
 * @param {{onProgress?: (done: number) => void, signal?: AbortSignal}} [options]
 * @returns {Promise<Blob>} a WAV of 16 bit; what would exceed full scale is turned down as a whole
 */
export async function mixdown(song, pieces, mix, { onProgress = () => {}, signal } = {}) {
  const own = { ...mix, original: false, volume: 1 };
  let made = await render(song, pieces, own, 1, onProgress, signal);
  if (made.peak > 1) made = await render(song, pieces, own, 1 / made.peak, onProgress, signal);
  return new Blob([header(song.frames, song.sampleRate), ...made.parts], { type: "audio/wav" });
}

async function render(song, pieces, mix, factor, onProgress, signal) {
  const parts = [];
  const bytes = new ArrayBuffer(song.pieceFrames * FRAME); // one for all, so that none is garbage
  let peak = 0;
  for (let number = 0; number < pieces.count; number += 1) {
    signal?.throwIfAborted();
    const sound = await window(song, await pieces.load(number), mix);
    const [left, right] = [sound.getChannelData(0), sound.getChannelData(1)];
    const steps = new DataView(bytes, 0, sound.length * FRAME);
    for (let at = 0; at < sound.length; at += 1) {
      peak = Math.max(peak, Math.abs(left[at]), Math.abs(right[at]));
      steps.setInt16(at * FRAME, step(left[at] * factor), true);
      steps.setInt16(at * FRAME + 2, step(right[at] * factor), true);
    }
    discard(sound);
    parts.push(new Blob([steps])); // browsers keep those outside of the page's memory
    onProgress((number + 1) / pieces.count);
  }
  return { parts, peak };
}

async function window(song, buffers, mix) {
  const context = new OfflineAudioContext(2, buffers[0].length, song.sampleRate);
  const graph = new Graph(
    context,
    song.tracks.map(({ name }) => name),
  );
  graph.apply(mix, { glide: false });
  graph.output.connect(context.destination);
  const sources = buffers.map((buffer, track) => {
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(graph.inputs[track]);
    source.start();
    return source;
  });
  const sound = await context.startRendering();
  for (const source of sources) source.buffer = null; // the context outlives its rendering
  return sound;
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
