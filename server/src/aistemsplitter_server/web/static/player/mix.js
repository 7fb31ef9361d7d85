// How the mixer is set, and what that comes to: how loud each track is heard.

/** The track that the stems were made of. */
export const MIXTURE = "mixture";
/** The stem that keeps its pitch in another key, since drums have no key. */
export const DRUMS = "drums";
/** Semitones that the key can be changed by, up and down. */
export const WIDEST = 12;
/** Cents that the tuning can be changed by, up and down. */
export const FINEST = 50;
/** The loudest that a track can be set to; 1 is as it is. */
export const LOUDEST = 1.5;

/**
 * @typedef {object} Strip
 * @property {number} volume from 0 to LOUDEST
 * @property {number} pan from -1, left, to 1, right
 * @property {boolean} muted
 * @property {boolean} soloed
 *
 * @typedef {object} Mix
 * @property {Record<string, Strip>} strips by the stem's name
 * @property {boolean} original whether the mixture is heard instead of the stems
 * @property {number} volume of all, from 0 to 1
 */

/** Everything as it is in the song. @returns {Mix} */
export function plain(stems) {
  const strip = () => ({ volume: 1, pan: 0, muted: false, soloed: false });
  return {
    strips: Object.fromEntries(stems.map((name) => [name, strip()])),
    original: false,
    volume: 1,
  };
}

/** The factor that a volume stands for; squared, so that the whole way of a slider is of use. */
export function gain(volume) {
  return volume * volume;
}

/** The same in dB, as a text such as "−6.0 dB". */
export function decibels(volume) {
  if (volume <= 0) return "−∞ dB";
  const value = (20 * Math.log10(gain(volume))).toFixed(1);
  return `${Number(value) > 0 ? "+" : ""}${value.replace("-", "−").replace("−0.0", "0.0")} dB`;
}

/** Whether a stem is heard: where any is soloed those alone are, muted or not. */
export function isHeard(mix, name) {
  const soloing = Object.values(mix.strips).some((strip) => strip.soloed);
  return soloing ? mix.strips[name].soloed : !mix.strips[name].muted;
}
