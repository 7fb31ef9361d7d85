// The sum of a song's stems as the mixer is set, a window at a time, for the file of the mix.

import { DRUMS, MIXTURE, gain, isHeard } from "./mix.js";
import { BlockShifter } from "./stretch.js";

/**
 * One window after the other.
 * @param {import("./pieces.js").Song} song
 * @param {import("./pieces.js").Pieces} pieces
 * @param {import("./mix.js").Mix} mix
 * @returns {AsyncGenerator<Float32Array[]>} left and right; the arrays are used again
 */
export async function* sums(song, pieces, mix) {
  const levels = levelsOf(song, mix);
  const channels = silence(song.pieceFrames);
  for (let number = 0; number < pieces.count; number += 1) {
    const buffers = await pieces.load(number);
    const window = channels.map((channel) => channel.subarray(0, buffers[0].length).fill(0));
    add(buffers, levels, window);
    yield window;
  }
}

/**
 * The same in another key; the drums keep theirs.
 * @param {{semitones: number, library: string}} shift library: where signalsmith-stretch is
 */
export async function* transposedSums(song, pieces, mix, { semitones, library }) {
  const { sampleRate, tracks } = song;
  const levels = levelsOf(song, mix);
  const of = (isIncluded) => levels.map((level, at) => isIncluded(tracks[at].name) && level);
  const [drums, others] = [of((name) => name === DRUMS), of((name) => name !== DRUMS)];
  const shifter = await BlockShifter.start({ library, sampleRate, semitones });
  try {
    const delay = new Delay(shifter.latency);
    let ahead = shifter.latency; // frames that come before the song's first one
    const aligned = async (shifted, kept) => {
      const found = await shifter.process(shifted);
      delay.process(kept).forEach((channel, side) => {
        for (let at = 0; at < channel.length; at += 1) found[side][at] += channel[at];
      });
      const skipped = Math.min(ahead, found[0].length);
      ahead -= skipped;
      return found.map((channel) => channel.subarray(skipped));
    };
    for (let number = 0; number < pieces.count; number += 1) {
      const buffers = await pieces.load(number);
      const [shifted, kept] = [silence(buffers[0].length), silence(buffers[0].length)];
      add(buffers, others, shifted);
      add(buffers, drums, kept);
      yield await aligned(shifted, kept);
    }
    yield await aligned(silence(shifter.latency), silence(shifter.latency));
  } finally {
    shifter.close();
  }
}

/** Gives blocks of audio some frames later. */
class Delay {
  #held;

  /** @param {number} frames */
  constructor(frames) {
    this.#held = silence(frames);
  }

  /** @param {Float32Array[]} channels @returns {Float32Array[]} as many frames */
  process(channels) {
    const joined = channels.map((channel, side) => {
      const both = new Float32Array(this.#held[side].length + channel.length);
      both.set(this.#held[side]);
      both.set(channel, this.#held[side].length);
      return both;
    });
    this.#held = joined.map((both, side) => both.slice(channels[side].length));
    return joined.map((both, side) => both.subarray(0, channels[side].length));
  }
}

function silence(frames) {
  return [new Float32Array(frames), new Float32Array(frames)];
}

/**
 * How much of each track's two channels goes to each side, as the graph does it: the track's level
 * and its StereoPannerNode (https://www.w3.org/TR/webaudio/#stereopanner-algorithm).
 */
function levelsOf(song, mix) {
  return song.tracks.map(({ name }) => {
    if (name === MIXTURE || !isHeard(mix, name)) return null;
    const { volume, pan } = mix.strips[name];
    const level = gain(volume);
    const angle = ((pan <= 0 ? pan + 1 : pan) * Math.PI) / 2;
    const [cos, sin] = [level * Math.cos(angle), level * Math.sin(angle)];
    return pan <= 0
      ? { leftToLeft: level, rightToLeft: cos, leftToRight: 0, rightToRight: sin }
      : { leftToLeft: cos, rightToLeft: 0, leftToRight: sin, rightToRight: level };
  });
}

/** Add the tracks that have levels to a sum. */
function add(buffers, levels, [left, right]) {
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
