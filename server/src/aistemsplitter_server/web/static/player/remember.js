// What a listener has set on a song: mixer, loop, speed, key and position, for the next visit.

import { ask } from "../asking.js";
import { SUBDIVISIONS } from "./click.js";
import { FINEST, LOUDEST, WIDEST } from "./mix.js";
import { SPEEDS } from "./transport.js";

const PAUSE = 600; // ms after a change, as sliders change often
const STEP = 10_000; // ms between two notes of the position while it plays

/**
 * @typedef {object} Remembered
 * @property {import("./mix.js").Mix} mix
 * @property {{start: number, end: number} | null} region in frames
 * @property {boolean} loops whether the region is repeated
 * @property {number} speed
 * @property {number} semitones
 * @property {number} cents
 * @property {import("./click.js").Clicking} click
 * @property {boolean} snaps whether loops begin and end on beats
 * @property {number} position in frames
 * @property {number} [savedAt] by the clock of the browser that saved it, in ms
 */

/**
 * Keeps what is set on a song: in this browser, and for its owner in the account, so that the phone
 * and the laptop agree.
 */
export class Memory {
  #key;
  #session;
  #song;
  #account;
  #timer = null;

  /**
   * @param {object} parts
   * @param {string} parts.key of the song
   * @param {string} [parts.account] URL that remembers for the person who is signed in
   * @param {import("./session.js").Session} parts.session
   * @param {import("./pieces.js").Song} parts.song
   */
  constructor({ key, account, session, song }) {
    this.#key = `song:${key}`;
    this.#account = account;
    this.#session = session;
    this.#song = song;
  }

  /** Set everything as it was left last, here or elsewhere, as far as it fits the song. */
  recall() {
    const [here, there] = [this.#local(), this.#song.remembered];
    const found = (there?.savedAt ?? 0) > (here?.savedAt ?? 0) ? there : here;
    if (found) this.#session.restore(fitting(found, this.#session.state, this.#song.frames));
  }

  /** Note everything from now on: changes soon, the position now and then and when the page goes. */
  keep() {
    this.#session.addEventListener("change", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#save(), PAUSE);
    });
    setInterval(() => this.#session.isPlaying && this.#save(), STEP);
    window.addEventListener("pagehide", () => this.#save());
    document.addEventListener("visibilitychange", () => document.hidden && this.#save());
  }

  #local() {
    try {
      return JSON.parse(localStorage.getItem(this.#key));
    } catch {
      return null; // storage is blocked, or has something else under this key
    }
  }

  #save() {
    clearTimeout(this.#timer);
    const state = { ...this.#session.state, savedAt: Date.now() };
    try {
      localStorage.setItem(this.#key, JSON.stringify(state));
    } catch {
      // Storage is full or blocked.
    }
    if (!this.#account) return;
    // Offline, this browser still has it.
    ask(this.#account, state, {}, undefined, { keepalive: true }).catch(() => {});
  }
}

/**
 * What was remembered, with the present value wherever it has something else than expected.
 * @param {any} found
 * @param {Remembered} present
 * @returns {Remembered}
 */
function fitting(found, present, frames) {
  const within = (value, least, most, other) =>
    Number.isFinite(value) && value >= least && value <= most ? value : other;
  const strips = Object.fromEntries(
    Object.entries(present.mix.strips).map(([name, strip]) => {
      const own = found.mix?.strips?.[name] ?? {};
      const set = {
        volume: within(own.volume, 0, LOUDEST, strip.volume),
        pan: within(own.pan, -1, 1, strip.pan),
        muted: own.muted === true,
        soloed: own.soloed === true,
      };
      return [name, set];
    }),
  );
  const start = within(found.region?.start, 0, frames, null);
  const end = within(found.region?.end, 0, frames, null);
  const region = start !== null && end !== null && start < end ? { start, end } : null;
  return {
    mix: {
      strips,
      original: found.mix?.original === true,
      volume: within(found.mix?.volume, 0, 1, present.mix.volume),
    },
    region,
    loops: region !== null && found.loops === true,
    speed: SPEEDS.includes(found.speed) ? found.speed : 1,
    semitones: Math.round(within(found.semitones, -WIDEST, WIDEST, 0)),
    cents: Math.round(within(found.cents, -FINEST, FINEST, 0)),
    click: {
      on: found.click?.on === true,
      countIn: found.click?.countIn === true,
      volume: within(found.click?.volume, 0, 1, present.click.volume),
      subdivision: SUBDIVISIONS.includes(found.click?.subdivision) ? found.click.subdivision : 1,
    },
    snaps: found.snaps === true,
    position: within(found.position, 0, frames, 0),
  };
}
