// Pitch shifting for speed and key. Another speed changes the pitch of all tracks, which is shifted
// back; another key shifts all tracks but the drums.

import { compensation, pitchShifter } from "./stretch.js";

export class Pitch {
  #context;
  #graph;
  #library;
  #hasDrums;
  /** @type {object[]} the second one is for drums, while both the speed and the key are changed */
  #shifters = [];
  #coming = [];
  #isMissing = false;
  #delay = null; // keeps drums that are not shifted in time with the other tracks
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

  /** Seconds by which shifting delays what is heard. */
  get latency() {
    return this.#latency;
  }

  /** Load the shifters that a speed and a key need. */
  async prepare(speed, semitones) {
    const changes = Number(speed !== 1) + Number(semitones !== 0);
    const count = this.#hasDrums ? changes : Math.min(1, changes);
    for (let at = this.#shifters.length; at < count; at += 1) {
      this.#coming[at] ??= pitchShifter(this.#context, this.#library).catch(() => null);
      const shifter = await this.#coming[at];
      this.#isMissing = !shifter;
      if (this.#isMissing) {
        this.#coming[at] = undefined; // another try may succeed
        return;
      }
      this.#shifters[at] = shifter;
    }
  }

  /** Route the tracks through the shifters that they need; none at their own speed and key. */
  apply(speed, semitones) {
    const [all, drums] = this.#shifters;
    if (!all || (speed === 1 && semitones === 0)) {
      this.#graph.insert(null, null);
      this.#latency = 0;
      return;
    }
    this.#latency = all.latency;
    all.transpose(semitones + compensation(speed));
    if (speed === 1) this.#graph.insert(all.node, this.#delayed(all.latency));
    else if (semitones !== 0 && drums) {
      drums.transpose(compensation(speed));
      this.#graph.insert(all.node, drums.node);
    } else this.#graph.insert(all.node, all.node);
  }

  #delayed(seconds) {
    this.#delay ??= new DelayNode(this.#context, { delayTime: seconds, maxDelayTime: 2 * seconds });
    return this.#delay;
  }
}
