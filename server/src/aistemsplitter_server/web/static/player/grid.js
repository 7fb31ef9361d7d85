// The beats of a song, and how a listener corrects them.

/**
 * @typedef {object} Grid
 * @property {number[]} beats in ms, ascending
 * @property {number} beatsPerBar
 * @property {number} firstDownbeat index of the first beat of a bar
 */

const TAPS = 4; // at least, for a tempo
const NEAR = 0.1; // of a beat: longer and shorter ones do not count towards the tempo
const SHORTEST = 100; // ms of a beat
const [FEWEST, MOST] = [2, 20_000]; // beats that the server accepts

/** Ms of a beat. @param {Grid} grid */
export function beatLength({ beats }) {
  const lengths = beats.slice(1).map((beat, at) => beat - beats[at]);
  const usual = lengths.toSorted((one, other) => one - other)[lengths.length >> 1];
  const near = lengths.filter((length) => Math.abs(length - usual) <= NEAR * usual);
  return near.reduce((sum, length) => sum + length, 0) / near.length;
}

/** Every second beat; the first beat of a bar stays one. @param {Grid} grid @returns {Grid} */
export function half({ beats, beatsPerBar, firstDownbeat }) {
  const kept = beats.filter((_, at) => at % 2 === firstDownbeat % 2);
  return { beats: kept, beatsPerBar, firstDownbeat: firstDownbeat >> 1 };
}

/** Twice as many beats. @param {Grid} grid @returns {Grid} */
export function double({ beats, beatsPerBar, firstDownbeat }) {
  const more = beats.flatMap((beat, at) =>
    at + 1 < beats.length ? [beat, Math.round((beat + beats[at + 1]) / 2)] : [beat],
  );
  return { beats: more, beatsPerBar, firstDownbeat: (2 * firstDownbeat) % beatsPerBar };
}

/** Bars that begin later by a number of beats. @param {Grid} grid @returns {Grid} */
export function shifted(grid, by) {
  const { beatsPerBar, firstDownbeat } = grid;
  return { ...grid, firstDownbeat: (firstDownbeat + by + beatsPerBar) % beatsPerBar };
}

/** Bars of another length. @param {Grid} grid @returns {Grid} */
export function inBars(grid, beatsPerBar) {
  return { ...grid, beatsPerBar, firstDownbeat: grid.firstDownbeat % beatsPerBar };
}

/**
 * The beats of an even tempo that was tapped along; null if there are too few taps.
 * @param {number[]} taps in ms of the song, ascending
 * @param {number} length of the song in ms
 * @param {number} beatsPerBar
 * @returns {Grid | null}
 */
export function tapped(taps, length, beatsPerBar) {
  if (taps.length < TAPS) return null;
  const middle = (taps.length - 1) / 2;
  const mean = taps.reduce((sum, tap) => sum + tap, 0) / taps.length;
  const [above, below] = taps.reduce(
    ([up, down], tap, at) => [up + (at - middle) * (tap - mean), down + (at - middle) ** 2],
    [0, 0],
  );
  const beat = above / below; // the slope of the line through the taps
  const first = mean - middle * beat;
  const before = Math.floor(first / beat);
  const start = first - before * beat;
  const beats = Array.from({ length: Math.ceil((length - start) / beat) }, (_, at) =>
    Math.round(start + at * beat),
  );
  return { beats, beatsPerBar, firstDownbeat: ((before % beatsPerBar) + beatsPerBar) % beatsPerBar };
}

/**
 * A part of the song that begins and ends on beats.
 * @param {Grid} grid
 * @param {{start: number, end: number}} region in seconds
 */
export function onBeats({ beats }, { start, end }) {
  const nearest = (seconds) => {
    const away = beats.map((beat) => Math.abs(beat / 1000 - seconds));
    return away.indexOf(Math.min(...away));
  };
  const first = Math.min(nearest(start), beats.length - 2);
  const last = Math.max(nearest(end), first + 1);
  return { start: beats[first] / 1000, end: beats[last] / 1000 };
}

/** Whether people can follow the beats and the server would accept them. @param {Grid} grid */
export function isUsable(grid) {
  const { beats, beatsPerBar, firstDownbeat } = grid;
  if (beats.length < FEWEST || beats.length > MOST) return false;
  const isAscending = beats.every((beat, at) => !at || beat > beats[at - 1]);
  const isSlowEnough = beatLength(grid) >= SHORTEST;
  return isAscending && isSlowEnough && firstDownbeat < Math.min(beatsPerBar, beats.length);
}
