// A click on the beats of the song, and a bar of clicks before it plays. Clicks are scheduled on the
// clock of the audio, like the song, and shortly ahead, since a pause or a jump makes them void.

import { beatLength } from "./grid.js";
import { gain } from "./mix.js";

const AHEAD = 0.3; // seconds
const TICK = 50; // ms
const SOON = 0.06; // seconds from a decision to its first click
const SAME = 0.005; // seconds between a position and a beat that it is on
const LENGTH = 0.04; // seconds of a click
const HERTZ = { bar: 1760, beat: 1175, between: 880 };
const LEVELS = { bar: 0.9, beat: 0.6, between: 0.3 };

/** Clicks to a beat that can be chosen. */
export const SUBDIVISIONS = [1, 2, 3, 4];

/**
 * @typedef {object} Clicking how the click is set
 * @property {boolean} on
 * @property {boolean} countIn
 * @property {number} volume from 0 to 1
 * @property {number} subdivision clicks to a beat
 */

/**
 * @typedef {object} Lead where a count-in leads
 * @property {number} from seconds of the song where it begins to play
 * @property {number} to seconds of the song: the beat after the count-in
 * @property {number} time seconds of the clock at that beat
 * @property {number} speed
 */

/** @returns {Clicking} */
export function silent() {
  return { on: false, countIn: false, volume: 0.7, subdivision: 1 };
}

export class Click {
  #context;
  #transport;
  #rate;
  #output;
  #set = silent();
  /** @type {import("./grid.js").Grid | null} */
  #grid = null;
  #points = []; // seconds of the song and kind of each click
  #sounding = new Set(); // clicks of the song
  #leading = new Set(); // clicks of the count-in
  /** @type {Lead | null} */
  #lead = null;
  #until = 0; // seconds of the clock up to which clicks are scheduled
  #delay = 0; // seconds by which the song is heard later than it is scheduled
  #timer = null;

  /** @param {{context: AudioContext, graph: object, transport: object, sampleRate: number}} parts */
  constructor({ context, graph, transport, sampleRate }) {
    this.#context = context;
    this.#transport = transport;
    this.#rate = sampleRate;
    this.#output = context.createGain();
    this.#output.connect(graph.output);
    transport.addEventListener("change", () => this.#restart());
  }

  /**
   * Click on other beats, or in another way.
   * @param {import("./grid.js").Grid | null} grid
   * @param {Clicking} set
   * @param {number} delay seconds by which pitch shifting delays the song
   */
  apply(grid, set, delay) {
    this.#output.gain.value = gain(set.volume);
    const isSame = grid === this.#grid && delay === this.#delay && set.on === this.#set.on;
    if (isSame && set.subdivision === this.#set.subdivision) {
      this.#set = { ...set };
      return;
    }
    [this.#grid, this.#set, this.#delay] = [grid, { ...set }, delay];
    this.#points = grid ? pointsOf(grid, set.subdivision) : [];
    this.#restart();
  }

  /** Start the song after a bar of clicks that leads to its next beat, or at once without count-in. */
  start() {
    const grid = this.#set.countIn ? this.#grid : null;
    if (!grid) {
      this.#transport.play();
      return;
    }
    const { speed, position } = this.#transport;
    const from = position / this.#rate;
    const beat = beatLength(grid) / 1000 / speed; // of the clock
    const next = grid.beats.find((time) => time / 1000 >= from - SAME);
    const to = next === undefined ? from : next / 1000;
    const ahead = grid.beatsPerBar * beat - (to - from) / speed; // of the song
    const first = this.#context.currentTime + SOON + Math.max(0, -ahead);
    this.#transport.play(SOON + Math.max(0, ahead));
    this.#lead = { from, to, time: first + grid.beatsPerBar * beat, speed };
    for (let number = 0; number < grid.beatsPerBar; number += 1) {
      const kind = number === 0 ? "bar" : "beat";
      this.#sound(first + number * beat + this.#delay, kind, this.#leading);
    }
  }

  /** Whether the count-in still leads to its beat: the song has not stopped, jumped or been late. */
  #isLeading() {
    const { isPlaying, spans, speed } = this.#transport;
    if (!this.#lead || !isPlaying || speed !== this.#lead.speed) return false;
    const { from, to, time } = this.#lead;
    const reached = this.#transport.positionAt(time * this.#rate) / this.#rate;
    return Math.abs(reached - (spans.length ? to : from)) < SAME; // without spans nothing is loaded
  }

  #restart() {
    stop(this.#sounding);
    if (!this.#isLeading()) stop(this.#leading);
    clearInterval(this.#timer);
    this.#until = 0;
    if (!this.#transport.isPlaying || !this.#set.on || !this.#grid) return;
    this.#timer = setInterval(() => this.#schedule(), TICK);
    this.#schedule();
  }

  #schedule() {
    const now = this.#context.currentTime;
    const [from, to] = [Math.max(now, this.#until), now + AHEAD];
    for (const { time, frame, length, speed } of this.#transport.spans) {
      const [start, end] = [frame / this.#rate, (frame + length) / this.#rate];
      for (const [at, kind] of this.#points) {
        const due = time / this.#rate + (at - start) / speed;
        if (at >= start && at < end && due >= from && due < to) {
          this.#sound(due + this.#delay, kind, this.#sounding);
        }
      }
    }
    this.#until = to;
  }

  /**
   * @param {number} time seconds of the clock
   * @param {"bar" | "beat" | "between"} kind
   * @param {Set<OscillatorNode>} sources holds the click until it has sounded
   */
  #sound(time, kind, sources) {
    const [source, fader] = [this.#context.createOscillator(), this.#context.createGain()];
    source.frequency.value = HERTZ[kind];
    fader.gain.setValueAtTime(LEVELS[kind], time);
    fader.gain.exponentialRampToValueAtTime(0.001, time + LENGTH);
    source.connect(fader).connect(this.#output);
    source.start(time);
    source.stop(time + LENGTH);
    sources.add(source);
    source.addEventListener("ended", () => {
      sources.delete(source);
      fader.disconnect();
    });
  }
}

/** @param {Set<OscillatorNode>} sources */
function stop(sources) {
  for (const source of sources) source.stop();
  sources.clear();
}

/** Seconds and kind of each click. */
function pointsOf({ beats, beatsPerBar, firstDownbeat }, subdivision) {
  return beats.flatMap((beat, at) => {
    const isBar = (at - firstDownbeat) % beatsPerBar === 0;
    const length = (beats[at + 1] ?? beat) - beat;
    return Array.from({ length: length ? subdivision : 1 }, (_, part) => [
      (beat + (part * length) / subdivision) / 1000,
      part ? "between" : isBar ? "bar" : "beat",
    ]);
  });
}
