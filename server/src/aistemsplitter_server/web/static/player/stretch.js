// Pitch shifting by the vendored library, in an audio context and for files.

/**
 * A node that shifts the pitch of what runs through it, or null without AudioWorklet: browsers have
 * that only for pages from https or localhost.
 * @param {AudioContext} context
 * @param {string} library where signalsmith-stretch is
 */
export async function pitchShifter(context, library) {
  if (!context.audioWorklet) return null;
  const { default: SignalsmithStretch } = await import(library);
  SignalsmithStretch.moduleUrl = library; // its default is a blob:, which the policy forbids
  const node = await SignalsmithStretch(context);
  const latency = await node.latency();
  return {
    node,
    /** Seconds from what goes in to what comes out. */
    latency,
    /** @param {number} semitones may have a fraction */
    transpose(semitones) {
      node.schedule({ active: true, semitones });
    },
  };
}

/** Semitones that undo what a speed does to the pitch. */
export function compensation(speed) {
  return -12 * Math.log2(speed);
}

/** Shifts the pitch of successive blocks of stereo audio, in a thread of its own. */
export class BlockShifter {
  #worker;
  #pending = null;

  /** @param {Worker} worker */
  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#pending.resolve(data);
    worker.onerror = (event) => this.#pending?.reject(new Error(event.message));
    /** Frames from what goes in to what comes out. */
    this.latency = 0;
  }

  /** @param {{library: string, sampleRate: number, semitones: number}} settings */
  static async start(settings) {
    const worker = new Worker(new URL("shift_worker.js", import.meta.url), { type: "module" });
    const shifter = new BlockShifter(worker);
    try {
      ({ latency: shifter.latency } = await shifter.#ask(settings));
    } catch (error) {
      shifter.close();
      throw error;
    }
    return shifter;
  }

  /**
   * @param {Float32Array[]} channels handed over: they are empty afterwards
   * @returns {Promise<Float32Array[]>} as many frames, of what went in `latency` frames earlier
   */
  process(channels) {
    return this.#ask(
      channels,
      channels.map(({ buffer }) => buffer),
    );
  }

  close() {
    this.#worker.terminate();
  }

  #ask(message, transfer = []) {
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#worker.postMessage(message, transfer);
    });
  }
}
