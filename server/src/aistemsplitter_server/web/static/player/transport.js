// What plays when. All tracks hang on one clock, that of the audio context: every source is
// scheduled at a whole frame of it, together with those of the other tracks. What comes too late
// makes all of them wait, and never one of them alone.

import { MIXTURE } from "./mix.js";
import { WHOLE, endOf, meeting, silence } from "./spans.js";

/** In steps of 5 %. */
export const SPEEDS = Array.from({ length: 31 }, (_, at) => (10 + at) / 20);
const MARGIN = 0.06; // seconds from a decision to where it is heard
const TOO_LATE = 0.015; // seconds before its time, when something can still be scheduled for sure
const AHEAD = 6; // seconds that are scheduled, more than a tab in the background sleeps
const TICK = 100; // ms
const FETCHED_AHEAD = 1; // windows after the last one that is scheduled
const SHORTEST_LOOP = 0.2; // seconds
const FADE = 0.004; // seconds: in where playing begins, out and in where a loop repeats

/** Plays a song; tells of "change" when it begins, waits or stops, or the loop or speed change. */
export class Transport extends EventTarget {
  #context;
  #graph;
  #pieces;
  #song;
  /** @type {import("./spans.js").Span[]} */
  #spans = [];
  // What is scheduled next; without a time: as soon as possible.
  #next = { time: null, frame: 0, fadesIn: false };
  #playing = false;
  #waiting = false;
  #rest = 0; // the position while nothing plays
  #loop = null;
  #speed = 1;
  #timer = null;

  /**
   * @param {BaseAudioContext} context whose sample rate is the song's
   * @param {import("./graph.js").Graph} graph
   * @param {import("./pieces.js").Pieces} pieces
   * @param {import("./pieces.js").Song} song
   */
  constructor(context, graph, pieces, song) {
    super();
    this.#context = context;
    this.#graph = graph;
    this.#pieces = pieces;
    this.#song = song;
    pieces.addEventListener("window", () => this.pump());
    this.#want();
  }

  get isPlaying() {
    return this.#playing;
  }

  /** Whether it would play, if the song were here. */
  get isWaiting() {
    return this.#playing && this.#waiting;
  }

  /** The frame of the song that the clock has reached. */
  get position() {
    return this.positionAt(this.#now());
  }

  /** The frame of the song at a time, in frames of the clock. */
  positionAt(time) {
    if (!this.#playing) return this.#rest;
    const span = this.#spans.find((each) => time < endOf(each));
    if (!span) return this.#next.frame;
    return span.frame + Math.max(0, time - span.time) * span.speed;
  }

  /** What is scheduled. */
  get spans() {
    return this.#spans;
  }

  /** The part that is repeated, in frames, or null. @type {{start: number, end: number} | null} */
  get loop() {
    return this.#loop;
  }

  set loop(loop) {
    this.#loop = loop && this.#quantized(loop);
    this.#reconsider();
    this.#changed();
  }

  /** One of SPEEDS. */
  get speed() {
    return this.#speed;
  }

  set speed(speed) {
    if (speed === this.#speed) return;
    this.#speed = speed;
    this.#reconsider();
    this.#changed();
  }

  /** @param {number} [delay] seconds until it begins */
  play(delay = 0) {
    if (this.#playing) return;
    if (this.#rest >= this.#song.frames) this.#rest = this.#loop?.start ?? 0;
    this.#playing = this.#waiting = true;
    const time = delay ? this.#now() + this.#frames(delay) : null;
    this.#next = { time, frame: this.#rest, fadesIn: true };
    this.#timer = setInterval(() => this.pump(), TICK);
    this.pump();
    this.#changed();
  }

  pause() {
    if (!this.#playing) return;
    const time = this.#now() + this.#frames(MARGIN);
    this.#stopAt(this.positionAt(time), time);
  }

  /** Go to a frame of the song, playing or not. */
  seek(frame) {
    const target = Math.min(Math.max(0, Math.round(frame)), this.#song.frames);
    if (this.#playing) {
      const time = this.#now() + this.#frames(MARGIN);
      this.#graph.dip(time / this.#song.sampleRate);
      this.#cut(time);
      this.#next = { time: this.#spans.length ? time : null, frame: target, fadesIn: false };
      this.pump();
    } else {
      this.#rest = target;
      this.#want();
    }
    this.#changed();
  }

  /** Schedule what is due, and have fetched what will be. */
  pump() {
    if (!this.#playing) return;
    this.#forget();
    while (this.#playing && this.#isDue() && this.#scheduleNext());
    if (this.#playing) this.#want();
  }

  /** The frames of the clock that have passed, rounded up. */
  #now() {
    return Math.ceil(this.#context.currentTime * this.#song.sampleRate);
  }

  #frames(seconds) {
    return Math.ceil(seconds * this.#song.sampleRate);
  }

  #isDue() {
    return this.#next.time === null || this.#next.time < this.#now() + this.#frames(AHEAD);
  }

  /** Schedule one more span; return false if there is nothing to schedule now. */
  #scheduleNext() {
    const next = this.#next;
    if (this.#loop && next.frame === this.#loop.end) {
      next.frame = this.#loop.start;
      next.time &&= Math.ceil(next.time - WHOLE);
      next.fadesIn = true;
    }
    if (next.frame >= this.#song.frames) {
      if (next.time === null || next.time <= this.#now()) this.#ended();
      return false;
    }
    if (next.time !== null && next.time < this.#now() + this.#frames(TOO_LATE)) {
      next.time = null; // all sources end before it, at the same frame
    }
    const number = Math.floor(next.frame / this.#song.pieceFrames);
    const buffers = this.#pieces.peek(number);
    if (!buffers) {
      if (next.time === null) this.#wait(true);
      return false;
    }
    const time = next.time ?? this.#now() + this.#frames(MARGIN);
    const end = Math.min(
      (number + 1) * this.#song.pieceFrames,
      this.#loop && next.frame < this.#loop.end ? this.#loop.end : Infinity,
      this.#song.frames,
    );
    const span = {
      time,
      frame: next.frame,
      length: end - next.frame,
      speed: this.#speed,
      fadesIn: next.fadesIn || next.time === null,
      fadesOut: end === this.#loop?.end,
      sources: [],
      faders: [],
    };
    const from = next.frame - number * this.#song.pieceFrames;
    if (!this.#start(span, buffers, from)) return true; // once more, later
    this.#wait(false);
    this.#next = { time: endOf(span), frame: end, fadesIn: false };
    return true;
  }

  /** Start a span's sources, or none: false if that took so long that some would be late. */
  #start(span, buffers, from) {
    const rate = this.#song.sampleRate;
    const began = performance.now();
    const left = span.time - this.#context.currentTime * rate;
    span.sources = buffers.map((buffer, track) => {
      const source = this.#context.createBufferSource();
      source.buffer = buffer;
      source.playbackRate.value = span.speed;
      source.connect(this.#faded(span, this.#graph.inputs[track]));
      source.start(span.time / rate, from / rate, span.length / rate);
      return source;
    });
    // Some browsers' currentTime stands still meanwhile, so the time is taken, too.
    const took = ((performance.now() - began) / 1000) * rate;
    if (took >= left || this.#context.currentTime * rate >= span.time) {
      silence(span);
      this.#next.time = null;
      return false;
    }
    this.#spans.push(span);
    return true;
  }

  /** The node that a source of a span is connected to: with the span's fades, if it has any. */
  #faded(span, input) {
    if (!span.fadesIn && !span.fadesOut) return input;
    const rate = this.#song.sampleRate;
    const [start, end] = [span.time / rate, endOf(span) / rate];
    const length = Math.min(FADE, (end - start) / 2);
    const fader = this.#context.createGain();
    const { gain } = fader;
    if (span.fadesIn) {
      gain.value = 0;
      gain.setValueAtTime(0, start);
      gain.linearRampToValueAtTime(1, start + length);
    }
    if (span.fadesOut) {
      gain.setValueAtTime(1, end - length);
      gain.linearRampToValueAtTime(0, end);
    }
    fader.connect(input);
    span.faders.push(fader);
    return fader;
  }

  /** Let nothing be heard from a time on that was scheduled before. */
  #cut(time) {
    const kept = [];
    for (const span of this.#spans) {
      if (span.time >= time) {
        silence(span);
        continue;
      }
      if (endOf(span) > time) {
        for (const source of span.sources) source.stop(time / this.#song.sampleRate);
        span.length = (time - span.time) * span.speed;
      }
      kept.push(span);
    }
    this.#spans = kept;
  }

  /** Go on without a gap from where it is, with the loop and the speed that hold now. */
  #reconsider() {
    if (!this.#playing) return;
    const soon = this.#now() + this.#frames(MARGIN);
    const span = this.#spans.find((each) => soon < endOf(each));
    if (span && soon < span.time) {
      const { time, frame, fadesIn } = span; // it begins later, after a count-in
      this.#cut(time);
      this.#next = { time, frame, fadesIn };
    } else if (span) {
      const fade = this.#frames(FADE);
      const earliest = Math.max(soon, span.fadesIn ? span.time + fade : 0);
      const latest = endOf(span) - (span.fadesOut ? fade : 0);
      const { time, frame } = meeting(span, earliest);
      if (time < latest) {
        this.#cut(time);
        this.#next = { time, frame, fadesIn: false };
      } else {
        const end = endOf(span);
        this.#cut(end);
        this.#next = {
          time: Math.ceil(end - WHOLE),
          frame: span.frame + span.length,
          fadesIn: span.fadesOut,
        };
      }
    }
    this.pump();
  }

  #stopAt(frame, time) {
    this.#cut(time);
    this.#graph.dip(time / this.#song.sampleRate);
    this.#spans = [];
    this.#rest = Math.min(Math.round(frame), this.#song.frames);
    this.#stopped();
  }

  #ended() {
    this.#spans = [];
    this.#rest = this.#song.frames;
    this.#stopped();
  }

  #stopped() {
    this.#playing = this.#waiting = false;
    clearInterval(this.#timer);
    this.#want();
    this.#changed();
  }

  /** Forget the spans that nobody hears any more; the loudspeakers are a little behind. */
  #forget() {
    const past = this.#now() - this.#frames(1);
    for (const span of this.#spans) if (endOf(span) <= past) silence(span);
    this.#spans = this.#spans.filter((span) => endOf(span) > past);
  }

  #wait(waiting) {
    if (waiting === this.#waiting) return;
    this.#waiting = waiting;
    this.#changed();
  }

  /** Tell which windows are needed: what sounds, what is scheduled, and what comes then. */
  #want() {
    const { pieceFrames, frames } = this.#song;
    const now = this.#now();
    const wanted = new Set();
    if (this.#playing) {
      for (const span of this.#spans) {
        if (endOf(span) > now) wanted.add(Math.floor(span.frame / pieceFrames));
      }
    }
    let frame = this.#playing ? this.#next.frame : this.#rest;
    // At rest one more, so that it goes on for a while once it plays.
    for (let more = this.#playing ? 0 : -1; more < FETCHED_AHEAD; more += 1) {
      if (this.#loop && frame === this.#loop.end) frame = this.#loop.start;
      if (frame >= frames) break;
      const number = Math.floor(frame / pieceFrames);
      wanted.add(number);
      const inLoop = this.#loop && frame < this.#loop.end;
      frame = Math.min((number + 1) * pieceFrames, inLoop ? this.#loop.end : Infinity);
    }
    this.#pieces.want([...wanted]);
  }

  #quantized({ start, end }) {
    const last = this.#song.frames;
    const least = Math.min(Math.round(SHORTEST_LOOP * this.#song.sampleRate), last);
    const from = Math.min(Math.max(0, Math.round(start)), last - least);
    return { start: from, end: Math.min(Math.max(from + least, Math.round(end)), last) };
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Names of the tracks that can be set in the mixer. */
export function stemsOf(song) {
  return song.tracks.map(({ name }) => name).filter((name) => name !== MIXTURE);
}
