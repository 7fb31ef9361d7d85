// What the audio runs through. mixdown.js does the same to the file of the mix.
//
//     drums ─▶ level ─▶ pan ──▶ stems ─────▶ fader ─▶ (shifter) ─┐
//     stem ──▶ level ─▶ pan ─┬▶ stems ────┬▶ fader ─▶ (shifter) ─┴▶ master ─▶ output
//     stem ──▶ level ─▶ pan ─┘            │
//     mixture ──────────────────▶ original ┘

import { DRUMS, MIXTURE, gain, isHeard } from "./mix.js";

const GLIDE = 0.008; // seconds: the time constant of every change, so that none clicks
const DIP = 0.004; // seconds that a jump takes to fade out, and in again

export class Graph {
  #context;
  #levels = new Map();
  #pans = new Map();
  #drums;
  #others;
  #original;
  #master;
  /** @type {(AudioNode | null)[]} after the faders of the drums and of the others */
  #inserted = [null, null];

  /**
   * @param {BaseAudioContext} context
   * @param {string[]} names of the tracks
   */
  constructor(context, names) {
    this.#context = context;
    this.#master = context.createGain();
    this.#drums = this.#group();
    this.#others = this.#group();
    this.#original = context.createGain();
    this.#original.connect(this.#others.fader);
    this.#original.gain.value = 0;
    /** Where the sources of each track are connected to. @type {AudioNode[]} */
    this.inputs = names.map((name) => (name === MIXTURE ? this.#original : this.#stem(name)));
    /** @type {AudioNode} */
    this.output = this.#master;
  }

  /**
   * Set everything as the mix says.
   * @param {import("./mix.js").Mix} mix
   * @param {{glide?: boolean}} [how] glide: as one hears it, or at once
   */
  apply(mix, { glide = true } = {}) {
    for (const [name, strip] of Object.entries(mix.strips)) {
      const level = isHeard(mix, name) ? gain(strip.volume) : 0;
      this.#set(this.#levels.get(name).gain, level, glide);
      this.#set(this.#pans.get(name).pan, strip.pan, glide);
    }
    // Both are the same music, so that their sum stays as loud while one takes over.
    for (const { stems } of [this.#drums, this.#others]) {
      this.#set(stems.gain, mix.original ? 0 : 1, glide);
    }
    this.#set(this.#original.gain, mix.original ? 1 : 0, glide);
    this.#set(this.#master.gain, gain(mix.volume), glide);
  }

  /** Be silent for a moment around a jump. @param {number} when seconds of the context */
  dip(when) {
    for (const { fader } of [this.#drums, this.#others]) {
      fader.gain.cancelScheduledValues(0);
      fader.gain.setValueAtTime(1, Math.max(this.#context.currentTime, when - DIP));
      fader.gain.linearRampToValueAtTime(0, when);
      fader.gain.linearRampToValueAtTime(1, when + DIP);
    }
  }

  /**
   * Route the tracks through nodes, or directly where there is none.
   * @param {AudioNode | null} others for all tracks but the drums
   * @param {AudioNode | null} drums may be the same node
   */
  insert(others, drums) {
    const inserted = [drums, others];
    if (inserted.every((node, at) => node === this.#inserted[at])) return;
    for (const node of this.#inserted) node?.disconnect();
    [this.#drums, this.#others].forEach(({ fader }, at) => {
      fader.disconnect();
      (inserted[at] ? fader.connect(inserted[at]) : fader).connect(this.#master);
    });
    this.#inserted = inserted;
  }

  /** The sum of stems, and its fader for jumps. */
  #group() {
    const [stems, fader] = [this.#context.createGain(), this.#context.createGain()];
    stems.connect(fader).connect(this.#master);
    return { stems, fader };
  }

  #stem(name) {
    const level = this.#context.createGain();
    const pan = this.#context.createStereoPanner();
    level.connect(pan).connect((name === DRUMS ? this.#drums : this.#others).stems);
    this.#levels.set(name, level);
    this.#pans.set(name, pan);
    return level;
  }

  #set(parameter, value, glide) {
    const now = this.#context.currentTime;
    parameter.cancelScheduledValues(0);
    if (glide) parameter.setTargetAtTime(value, now, GLIDE);
    else parameter.value = value;
  }
}
