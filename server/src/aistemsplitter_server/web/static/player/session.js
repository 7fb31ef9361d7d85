// What one listener does with one song: every control and every key ends here.

import { Click, silent } from "./click.js";
import { isUsable, onBeats } from "./grid.js";
import { DRUMS, FINEST, MIXTURE, WIDEST, plain } from "./mix.js";
import { Pitch } from "./pitch.js";
import { SPEEDS, stemsOf } from "./transport.js";

const NEW_LOOP = 8; // seconds of a loop that is switched on without a part being chosen

/** Tells of "change" when anything is to be shown anew, and of "said" with a text to speak. */
export class Session extends EventTarget {
  #context;
  #graph;
  #transport;
  #song;
  #t;
  #pitch;
  #click;
  #speed = 1; // as chosen last
  #semitones = 0;
  #cents = 0;
  #before = undefined; // the region before a selection that is not done

  /** @param {{context: AudioContext, graph: object, transport: object, song: object,
   *           t: Function, stretch: string}} parts stretch: where the library is */
  constructor({ context, graph, transport, song, t, stretch }) {
    super();
    this.#context = context;
    this.#graph = graph;
    this.#transport = transport;
    this.#song = song;
    this.#t = t;
    const hasDrums = stemsOf(song).includes(DRUMS);
    this.#pitch = new Pitch({ context, graph, library: stretch, hasDrums });
    this.#click = new Click({ context, graph, transport, sampleRate: song.sampleRate });
    /** How the click is set. @type {import("./click.js").Clicking} */
    this.click = silent();
    /** Whether loops begin and end on beats. */
    this.snaps = false;
    /** The beats, as they were found or corrected. @type {import("./grid.js").Grid | null} */
    this.grid = song.grid ?? null;
    /** How the mixer is set. */
    this.mix = plain(stemsOf(song));
    /** The part that is chosen, looped or not. @type {{start: number, end: number} | null} */
    this.region = null;
    this.#graph.output.connect(context.destination);
    this.#graph.apply(this.mix, { glide: false });
    transport.addEventListener("change", () => this.#changed());
  }

  get isLooping() {
    return Boolean(this.#transport.loop);
  }

  get isPlaying() {
    return this.#transport.isPlaying;
  }

  /** The speed as chosen last. */
  get speed() {
    return this.#speed;
  }

  /** Semitones of the key that is chosen, from the song's own. */
  get semitones() {
    return this.#semitones;
  }

  /** Cents of the fine tune that is chosen. */
  get cents() {
    return this.#cents;
  }

  /** Both together, in semitones; 0 where the browser cannot change the key. */
  get transposition() {
    return this.canShift ? this.#semitones + this.#cents / 100 : 0;
  }

  /** Everything that is set. @returns {import("./remember.js").Remembered} */
  get state() {
    return {
      mix: this.mix,
      region: this.region,
      loops: this.isLooping,
      speed: this.#speed,
      semitones: this.#semitones,
      cents: this.#cents,
      click: this.click,
      snaps: this.snaps,
      position: this.#transport.position,
    };
  }

  /** Set everything, before it plays. @param {import("./remember.js").Remembered} state */
  restore({ mix, region, loops, speed, semitones, cents, click, snaps, position }) {
    this.mix = mix;
    if (!this.#song.tracks.some(({ name }) => name === MIXTURE)) mix.original = false;
    this.#graph.apply(mix, { glide: false });
    this.region = region;
    this.#transport.loop = loops ? region : null;
    this.#transport.seek(position);
    this.#speed = speed;
    this.#semitones = semitones;
    this.#cents = cents;
    this.click = click;
    this.snaps = snaps;
    this.#clicks();
    this.#tune();
  }

  /** Whether the browser can change the key, and the speed without the pitch. */
  get canShift() {
    return this.#pitch.isAvailable;
  }

  /** Seconds that what is heard is behind what the clock has reached. */
  get latency() {
    const device = this.#context.outputLatency || this.#context.baseLatency || 0;
    return device + this.#pitch.latency;
  }

  toggle() {
    if (this.#transport.isPlaying) this.#transport.pause();
    else {
      this.#context.resume();
      this.#click.start();
    }
  }

  /** Seconds of the song that are heard now. */
  get heard() {
    const { sampleRate } = this.#song;
    const time = Math.max(0, this.#context.currentTime - this.latency);
    return this.#transport.positionAt(time * sampleRate) / sampleRate;
  }

  /** Correct the beats. @param {import("./grid.js").Grid} grid */
  setGrid(grid) {
    if (!isUsable(grid)) return;
    this.grid = grid;
    this.#clicks();
    this.dispatchEvent(new Event("grid"));
    this.#changed();
  }

  toggleSnap() {
    this.snaps = !this.snaps;
    this.#changed();
  }

  /** Set the click. @param {Partial<import("./click.js").Clicking>} set */
  setClick(set) {
    this.click = { ...this.click, ...set };
    this.#clicks();
    this.#changed();
  }

  seek(frame) {
    this.#transport.seek(frame);
  }

  /** Go to a frame that was clicked; outside of the loop, leave the loop. */
  jump(frame) {
    if (this.isLooping && (frame < this.region.start || frame >= this.region.end)) this.clearLoop();
    this.seek(frame);
  }

  /** Go to the start of the loop, or of the song. */
  restart() {
    this.seek(this.isLooping ? this.region.start : 0);
  }

  /** Go on or back by seconds. */
  skip(seconds) {
    this.seek(this.#transport.position + seconds * this.#song.sampleRate);
  }

  /** Choose a part of the song; once that is done, it is looped. */
  select(region, done) {
    if (this.#before === undefined) this.#before = this.region;
    this.region = region;
    if (done) {
      this.#before = undefined;
      this.#transport.loop = this.#snapped(region);
      this.region = this.#transport.loop;
      if (!this.#isWithin(this.region)) this.seek(this.region.start);
    }
    this.#changed();
  }

  /** Choose what was chosen before a selection that is not done. */
  cancelSelection() {
    if (this.#before === undefined) return;
    this.region = this.#before;
    this.#before = undefined;
    this.#changed();
  }

  /** Let the loop start or end where it is now. @param {"start" | "end"} which */
  setBound(which) {
    const at = this.#transport.position;
    const { start, end } = this.region ?? { start: 0, end: this.#song.frames };
    if (which === "start") this.select({ start: at, end: end > at ? end : this.#song.frames }, true);
    else this.select({ start: start < at ? start : 0, end: at }, true);
  }

  toggleLoop() {
    if (this.isLooping) this.#transport.loop = null;
    else {
      const at = this.#transport.position;
      this.select(this.region ?? { start: at, end: at + NEW_LOOP * this.#song.sampleRate }, true);
    }
    this.#say(this.isLooping ? "player.looping" : "player.not_looping");
  }

  /** Forget the part that is chosen, and play on without a loop. */
  clearLoop() {
    if (!this.region) return;
    const wasLooping = this.isLooping;
    this.region = null;
    this.#transport.loop = null;
    if (wasLooping) this.#say("player.not_looping");
  }

  toggleOriginal() {
    if (!this.#song.tracks.some(({ name }) => name === "mixture")) return;
    this.mix.original = !this.mix.original;
    this.#mixed();
    this.#say(this.mix.original ? "player.hears_original" : "player.hears_stems");
  }

  /** @param {"muted" | "soloed"} what */
  toggleStem(name, what) {
    const strip = this.mix.strips[name];
    if (!strip) return;
    strip[what] = !strip[what];
    this.#mixed();
    this.#say(`player.${strip[what] ? "" : "un"}${what}`, { name: this.#t(`stem.${name}`) });
  }

  /** @param {"volume" | "pan"} what */
  setStem(name, what, value) {
    this.mix.strips[name][what] = value;
    this.#mixed();
  }

  setVolume(value) {
    this.mix.volume = Math.min(1, Math.max(0, Math.round(value * 100) / 100));
    this.#mixed();
  }

  setSpeed(speed) {
    this.#speed = speed;
    this.#tune();
  }

  /** Play faster, or slower. @param {number} steps of SPEEDS */
  stepSpeed(steps) {
    const at = SPEEDS.indexOf(this.#speed) + steps;
    this.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at))]);
  }

  /** Change the key. @param {number} semitones from the song's own */
  setKey(semitones) {
    if (!this.canShift) return;
    this.#semitones = Math.min(WIDEST, Math.max(-WIDEST, semitones));
    this.#tune();
  }

  /** Fine tune. @param {number} cents */
  setCents(cents) {
    this.#cents = Math.min(FINEST, Math.max(-FINEST, cents));
    this.#tune();
  }

  /** Play at the speed and in the key that are chosen, once what they need is loaded. */
  async #tune() {
    this.#changed();
    await this.#pitch.prepare(this.#speed, this.transposition);
    this.#transport.speed = this.#speed; // read again: another may have been chosen meanwhile
    this.#pitch.apply(this.#speed, this.transposition);
    this.#clicks();
    this.#changed();
  }

  help() {
    this.dispatchEvent(new Event("help"));
  }

  #snapped(region) {
    if (!this.snaps || !this.grid) return region;
    const { sampleRate } = this.#song;
    const { start, end } = onBeats(this.grid, {
      start: region.start / sampleRate,
      end: region.end / sampleRate,
    });
    return { start: start * sampleRate, end: end * sampleRate };
  }

  #clicks() {
    this.#click.apply(this.grid, this.click, this.#pitch.latency);
  }

  #isWithin({ start, end }) {
    const at = this.#transport.position;
    return start <= at && at < end;
  }

  #mixed() {
    this.#graph.apply(this.mix);
    this.#changed();
  }

  #say(key, values) {
    this.dispatchEvent(new CustomEvent("said", { detail: this.#t(key, values) }));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
