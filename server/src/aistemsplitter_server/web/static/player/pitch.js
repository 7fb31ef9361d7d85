// Key and speed at the pitch that is wanted: what plays faster sounds higher and is shifted back, and
// another key shifts everything but the drums.

import { compensation, pitchShifter } from "./stretch.js";

export class Pitch {
  #context;
  #graph;
  #library;
  #hasDrums;
  /** @type {object[]} one for all that is shifted, and one for drums at another speed and key */
  #shifters = [];
  #coming = [];
  #isMissing = false;
  #delay = null; // of drums that are not shifted, as long as the others take
  #latency = 0;

  /** @param {{context: AudioContext, graph: import("./graph.js").Graph, library: string,
   *           hasDrums: boolean}} parts library: where signalsmith-stretch is */
  constructor({ context, graph, library, hasDrums }) {
    this.#context = context;
    this.#graph = graph;
    this.#library = library;
    this.#hasDrums = hasDrums;
  }

  /** Whether this browser can shift pitches, as far as is known. */
  get isAvailable() {
    return Boolean(this.#context.audioWorklet) && !this.#isMissing;
  }

  /** Seconds that what is heard is behind because of it. */
  get latency() {
    return this.#latency;
  }

  /** Load what a speed and a key need. */
  async prepare(speed, semitones) {
    const count = Number(speed !== 1 || semitones !== 0) + Number(this.#splits(speed, semitones));
    for (let at = this.#shifters.length; at < count; at += 1) {
      this.#coming[at] ??= pitchShifter(this.#context, this.#library).catch(() => null);
      const shifter = await this.#coming[at];
      this.#isMissing = !shifter;
      if (this.#isMissing) {
        this.#coming[at] = undefined; // the next time it may be had
        return;
      }
      this.#shifters[at] = shifter;
    }
  }

  /** Route the tracks through what they need, and through nothing at their own speed and key. */
  apply(speed, semitones) {
    const [all, drums] = this.#shifters;
    if (!all || (speed === 1 && semitones === 0)) {
      this.#graph.insert(null, null);
      this.#latency = 0;
      return;
    }
    this.#latency = all.latency;
    all.transpose(semitones + compensation(speed));
    if (semitones === 0) this.#graph.insert(all.node, all.node);
    else if (!this.#splits(speed, semitones)) {
      this.#graph.insert(all.node, this.#hasDrums ? this.#delayed(all.latency) : null);
    } else if (drums) {
      drums.transpose(compensation(speed));
      this.#graph.insert(all.node, drums.node);
    } else this.#graph.insert(all.node, all.node);
  }

  /** Whether drums and the other tracks have to be shifted by something, but not by the same. */
  #splits(speed, semitones) {
    return this.#hasDrums && speed !== 1 && semitones !== 0;
  }

  #delayed(seconds) {
    this.#delay ??= new DelayNode(this.#context, { delayTime: seconds, maxDelayTime: 2 * seconds });
    return this.#delay;
  }
}
