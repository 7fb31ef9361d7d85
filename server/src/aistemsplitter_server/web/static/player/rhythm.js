// The controls of tempo and click: what was found in the song, its corrections, the click.

import { SUBDIVISIONS } from "./click.js";
import { element, press } from "./dom.js";
import { beatLength, double, half, inBars, shifted, tapped } from "./grid.js";

const BARS = [2, 3, 4, 5, 6, 7]; // beats
const USUAL_BAR = 4;
const PAUSE = 3000; // ms without a tap, after which tapping begins anew
const NAMES = ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];

/**
 * @param {object} parts
 * @param {(key: string, values?: object) => string} parts.t the texts
 * @param {import("./pieces.js").Song} parts.song
 * @param {import("./session.js").Session} parts.session what the controls do
 */
export function rhythm({ t, song, session }) {
  const length = (song.frames / song.sampleRate) * 1000;
  const button = (text, label, onclick, className = "") =>
    element("button", { type: "button", title: label, "aria-label": label, onclick, className }, text);
  const change = (correct) => () => session.setGrid(correct(session.grid));

  const tempo = element("output", { className: "tempo" });
  const key = element("span", { className: "song-key" });
  let taps = [];
  const tap = button(t("player.tap"), t("player.tap_hint"), () => {
    const now = session.heard * 1000;
    if (!taps.length || now <= taps.at(-1) || now - taps.at(-1) > PAUSE) taps = [];
    taps.push(now);
    const grid = tapped(taps, length, session.grid?.beatsPerBar ?? USUAL_BAR);
    if (grid) session.setGrid(grid);
  });
  const bar = element(
    "select",
    {
      "aria-label": t("player.beats_per_bar"),
      onchange: () => session.setGrid(inBars(session.grid, Number(bar.value))),
    },
    ...BARS.map((value) => element("option", { value }, t("player.beats", { n: value }))),
  );
  const corrections = element(
    "div",
    { className: "group" },
    button("½×", t("player.half_tempo"), change(half)),
    button("2×", t("player.double_tempo"), change(double)),
    bar,
    button("◂1", t("player.bar_earlier"), change((grid) => shifted(grid, -1))),
    button("1▸", t("player.bar_later"), change((grid) => shifted(grid, 1))),
  );

  const toggle = (text, what) =>
    element(
      "button",
      {
        type: "button",
        className: "toggle",
        onclick: () => session.setClick({ [what]: !session.click[what] }),
      },
      text,
    );
  const [click, countIn] = [toggle(t("player.click"), "on"), toggle(t("player.count_in"), "countIn")];
  const snap = element(
    "button",
    {
      type: "button",
      className: "toggle",
      title: t("player.snap_hint"),
      onclick: () => session.toggleSnap(),
    },
    t("player.snap"),
  );
  const subdivision = element(
    "select",
    {
      "aria-label": t("player.subdivision"),
      onchange: () => session.setClick({ subdivision: Number(subdivision.value) }),
    },
    ...SUBDIVISIONS.map((value) => element("option", { value }, `${value}/♩`)),
  );
  const volume = element("input", {
    type: "range",
    id: "click-volume",
    min: 0,
    max: 1,
    step: 0.05,
    "aria-label": t("player.click_volume"),
    oninput: () => session.setClick({ volume: Number(volume.value) }),
  });
  const clicking = element("div", { className: "group" }, click, volume, subdivision);
  const playing = element("div", { className: "group" }, countIn, snap);
  const line = element(
    "div",
    { className: "line tools rhythm", role: "group", "aria-label": t("player.rhythm") },
    element("div", { className: "group" }, tempo, key, tap),
    corrections,
    clicking,
    playing,
  );

  return {
    line,
    refresh() {
      const { grid } = session;
      const bpm = grid && 60_000 / beatLength(grid);
      tempo.textContent = grid ? t("player.bpm", { n: bpm.toFixed(1) }) : t("player.no_tempo");
      key.textContent = keyName(song.analysis?.key, session.semitones, t);
      tap.disabled = !session.isPlaying;
      for (const part of [corrections, clicking, playing]) part.hidden = !grid;
      bar.value = grid?.beatsPerBar ?? USUAL_BAR;
      press(click, session.click.on);
      press(snap, session.snaps);
      press(countIn, session.click.countIn);
      subdivision.value = session.click.subdivision;
      volume.value = session.click.volume;
    },
  };
}

/** The key as it sounds, some semitones from the song's own. */
function keyName(key, semitones, t) {
  if (!key) return "";
  const [tonic, mode] = key.split(" ");
  const at = (NAMES.indexOf(tonic) + semitones + 12) % 12;
  return t(`player.${mode}`, { name: NAMES[at].replace("b", "♭").replace("#", "♯") });
}
