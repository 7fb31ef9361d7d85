// The song as it comes over the network: pieces of a few seconds, fetched by their bytes, decoded,
// and let go again, so that a long song with many stems fits into a phone's memory.

/**
 * What the server tells of a song, see splits/player.py.
 * @typedef {object} Song
 * @property {number} sampleRate in Hz, of every track and of the audio clock
 * @property {number} frames how long every track is
 * @property {number} pieceFrames how long every piece is but the last
 * @property {Track[]} tracks
 *
 * @typedef {object} Track
 * @property {string} name
 * @property {string} url of all its pieces, one after the other
 * @property {number[]} offsets where each piece begins, and at last where the last one ends
 */

/** How many bytes of decoded audio are held, give or take a window. */
export const BUDGET = 80e6;
const AT_ONCE = 2; // windows that are fetched at the same time
const PAUSES = [0.3, 1, 3]; // seconds before the next try
const REST = 4000; // ms before a window that could not be had is asked for again
const SAMPLE = 4; // bytes, decoded

/** Windows of a song: the pieces of all its tracks that sound at the same time. */
export class Pieces extends EventTarget {
  /** @type {Map<number, AudioBuffer[]>} those that are held, the one used longest ago first */
  #held = new Map();
  /** @type {Map<number, {promise: Promise<AudioBuffer[]>, abort: AbortController}>} */
  #coming = new Map();
  /** @type {Map<number, number>} when those that could not be had may be asked for again */
  #resting = new Map();
  #wanted = [];
  /** @type {Set<number>} those that somebody waits for, wanted or not */
  #awaited = new Set();
  #bytes = 0;
  #song;
  #decode;
  #budget;
  #renew;
  #renewing = null;

  /**
   * @param {Song} song its URLs are replaced when they have expired
   * @param {(bytes: ArrayBuffer) => Promise<AudioBuffer>} decode
   * @param {{budget?: number, renew?: () => Promise<Song>}} [options] renew: fresh URLs
   * Tells of "window", when one has come, and of "trouble", when one could not be had.
   */
  constructor(song, decode, { budget = BUDGET, renew } = {}) {
    super();
    this.#song = song;
    this.#decode = decode;
    this.#budget = budget;
    this.#renew = renew;
  }

  /** How many windows the song has. */
  get count() {
    return Math.ceil(this.#song.frames / this.#song.pieceFrames);
  }

  /** Bytes of decoded audio that are held. */
  get bytes() {
    return this.#bytes;
  }

  /** The window, if it is here: a buffer for each track. */
  peek(number) {
    const buffers = this.#held.get(number);
    if (buffers) {
      this.#held.delete(number);
      this.#held.set(number, buffers);
    }
    return buffers;
  }

  /** Have these windows here as soon as can be, the first one first; no others are waited for. */
  want(numbers) {
    this.#wanted = numbers;
    for (const [number, { abort }] of this.#coming) {
      if (!numbers.includes(number) && !this.#awaited.has(number)) abort.abort();
    }
    this.#startNext();
  }

  /** One window, whatever else is wanted. */
  async load(number) {
    const buffers = this.peek(number);
    if (buffers) return buffers;
    this.#awaited.add(number);
    try {
      return await (this.#coming.get(number)?.promise ?? this.#fetch(number));
    } finally {
      this.#awaited.delete(number);
    }
  }

  #startNext() {
    for (const number of this.#wanted) {
      if (this.#coming.size >= AT_ONCE) return;
      if (this.#held.has(number) || this.#coming.has(number)) continue;
      if ((this.#resting.get(number) ?? 0) > performance.now()) continue;
      this.#fetch(number).catch((error) => this.#failed(number, error));
    }
  }

  #failed(number, error) {
    if (error.name !== "AbortError") {
      this.#resting.set(number, performance.now() + REST);
      this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
    }
  }

  #fetch(number) {
    const abort = new AbortController();
    const promise = this.#window(number, abort.signal).finally(() => {
      this.#coming.delete(number);
      this.#startNext();
    });
    this.#coming.set(number, { promise, abort });
    return promise;
  }

  async #window(number, signal) {
    const buffers = await Promise.all(
      this.#song.tracks.map((_, track) => this.#piece(track, number, signal)),
    );
    this.#resting.delete(number);
    this.#hold(number, buffers);
    this.dispatchEvent(new CustomEvent("window", { detail: number }));
    return buffers;
  }

  #hold(number, buffers) {
    this.#held.set(number, buffers);
    this.#bytes += size(buffers);
    for (const [old, dropped] of this.#held) {
      if (this.#bytes <= this.#budget) break;
      if (old === number || this.#wanted.includes(old) || this.#awaited.has(old)) continue;
      this.#held.delete(old);
      this.#bytes -= size(dropped);
      dropped.forEach(discard);
    }
  }

  async #piece(track, number, signal) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#decode(await this.#bytesOf(track, number, signal));
      } catch (error) {
        if (signal.aborted || attempt >= PAUSES.length) throw error;
        await pause(PAUSES[attempt], signal);
      }
    }
  }

  async #bytesOf(track, number, signal) {
    const { url, offsets } = this.#song.tracks[track];
    const [start, end] = offsets.slice(number, number + 2);
    const answer = await fetch(url, { signal, headers: { Range: `bytes=${start}-${end - 1}` } });
    if (answer.status === 403 && this.#renew) this.#renewed();
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    const bytes = await answer.arrayBuffer();
    return answer.status === 206 ? bytes : bytes.slice(start, end); // a proxy may ignore ranges
  }

  /** The URLs have expired: ask for fresh ones, once for all who notice. */
  #renewed() {
    this.#renewing ??= this.#renew()
      .then((fresh) => this.#song.tracks.forEach((track, at) => (track.url = fresh.tracks[at].url)))
      .catch(() => {}) // whoever noticed tries again and says so
      .finally(() => (this.#renewing = null));
  }
}

/** @param {AudioBuffer[]} buffers */
function size(buffers) {
  return buffers.reduce((sum, { length, numberOfChannels: n }) => sum + length * n * SAMPLE, 0);
}

/**
 * Give a buffer's memory back at once: browsers wait long, until hundreds of megabytes of it have
 * gathered, and Chromium counts only what a script has touched. What is handed over to nobody goes.
 */
function discard(buffer) {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.postMessage(null, channelsOf(buffer));
  port1.close();
}

function channelsOf(buffer) {
  return Array.from(
    { length: buffer.numberOfChannels },
    (_, channel) => buffer.getChannelData(channel).buffer,
  );
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
