// Stretches of the song that are scheduled.

/**
 * Frames of the song in which frames of the clock and of the song meet at every speed: at 0.95, 20
 * frames of the clock are 19 of the song.
 */
const MEETING = 40;
/** Frames: how far from a whole number a float may be that stands for one. */
export const WHOLE = 1e-4;

/**
 * A stretch of the song that is scheduled: from `frame` on for `length` frames of the song, at
 * `time`, in frames of the clock. Where a piece ends between two of these, so does the span, and the
 * next one begins there; what begins by a decision begins at a whole one.
 * @typedef {{time: number, frame: number, length: number, speed: number, fadesIn: boolean,
 *            fadesOut: boolean, sources: AudioBufferSourceNode[], faders: GainNode[]}} Span
 */

/** Where from a time on a frame of the clock and one of the song first meet in a span. */
export function meeting(span, earliest) {
  const first = Math.ceil((earliest - span.time) * span.speed - WHOLE);
  for (let passed = first; passed < first + MEETING; passed += 1) {
    const time = span.time + passed / span.speed;
    if (Math.abs(time - Math.round(time)) < WHOLE) {
      return { time: Math.round(time), frame: span.frame + passed };
    }
  }
  // They never meet in a span that begins between frames: this is off by a fraction.
  return { time: Math.ceil(earliest), frame: span.frame + first };
}

/** The frame of the clock at which a span ends. */
export function endOf(span) {
  return span.time + span.length / span.speed;
}

/** Stop a span, and hold nothing of it. */
export function silence(span) {
  for (const fader of span.faders) fader.disconnect();
  for (const source of span.sources) {
    source.disconnect();
    source.stop();
    source.buffer = null;
  }
}
