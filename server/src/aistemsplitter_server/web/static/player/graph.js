// What the audio runs through. mixdown.js does the same to the file of the mix.
//
//     stem ─▶ level ─▶ pan ─┐
//     stem ─▶ level ─▶ pan ─┴▶ stems ──┐
//     mixture ───────────────▶ original ┴▶ fader ─▶ master ─▶ output

import { MIXTURE, gain, isHeard } from "./mix.js";

const GLIDE = 0.008; // seconds: the time constant of every change, so that none clicks
const DIP = 0.004; // seconds that a jump takes to fade out, and in again

export class Graph {
  #context;
  #levels = new Map();
  #pans = new Map();
  #stems;
  #original;
  #fader;
  #master;

  /**
   * @param {BaseAudioContext} context
   * @param {string[]} names of the tracks
   */
  constructor(context, names) {
    this.#context = context;
    this.#stems = context.createGain();
    this.#original = context.createGain();
    this.#fader = context.createGain();
    this.#master = context.createGain();
    this.#stems.connect(this.#fader);
    this.#original.connect(this.#fader);
    this.#fader.connect(this.#master);
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
    this.#set(this.#stems.gain, mix.original ? 0 : 1, glide);
    this.#set(this.#original.gain, mix.original ? 1 : 0, glide);
    this.#set(this.#master.gain, gain(mix.volume), glide);
  }

  /** Be silent for a moment around a jump. @param {number} when seconds of the context */
  dip(when) {
    const { gain: fader } = this.#fader;
    fader.cancelScheduledValues(0);
    fader.setValueAtTime(1, Math.max(this.#context.currentTime, when - DIP));
    fader.linearRampToValueAtTime(0, when);
    fader.linearRampToValueAtTime(1, when + DIP);
  }

  #stem(name) {
    const level = this.#context.createGain();
    const pan = this.#context.createStereoPanner();
    level.connect(pan).connect(this.#stems);
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
