// A strip for each track: its waveform and, for stems, its place in the mix.

import { element, icon, press } from "./dom.js";
import { LOUDEST, MIXTURE, decibels, isHeard } from "./mix.js";
import { keepDrawn, pointing, unpack } from "./waveforms.js";

/**
 * @param {object} told
 * @param {import("./pieces.js").Song} told.song
 * @param {(key: string, values?: object) => string} told.t the texts
 * @param {string} told.sprite of icons
 * @param {import("./session.js").Session} told.session what the controls do
 */
export function strips({ song, t, sprite, session }) {
  const made = song.tracks.map((track) => strip(track, { song, t, sprite, session }));
  const list = element(
    "div",
    { className: "strips card", role: "group", "aria-label": t("player.mixer") },
    ...made.map(({ row }) => row),
  );
  keepDrawn(
    made.map(({ canvas }) => canvas),
    song.tracks.map(unpack),
  );
  let shown = "";
  return {
    list,
    /** Show where it is: some thousandths of the width at a time, and nothing but the playheads. */
    place(frame) {
      const moved = `translateX(${((frame / song.frames) * 100).toFixed(2)}%)`;
      if (moved === shown) return;
      shown = moved;
      for (const { playhead } of made) playhead.style.transform = moved;
    },
    /** Show everything else. */
    refresh() {
      const region = session.region;
      list.classList.toggle("has-region", Boolean(region));
      list.classList.toggle("looping", session.isLooping);
      list.style.setProperty("--from", region ? region.start / song.frames : 0);
      list.style.setProperty("--to", region ? region.end / song.frames : 0);
      for (const { refresh } of made) refresh(region);
    },
    /** Links that work, after the old ones have expired. */
    renew(fresh) {
      made.forEach(({ download }, at) => {
        if (download) download.href = fresh.tracks[at].download;
      });
    },
  };
}

function strip(track, { song, t, sprite, session }) {
  const isMixture = track.name === MIXTURE;
  const name = isMixture
    ? t(song.mixtureIsSong ? "player.original" : "player.sum")
    : t(`stem.${track.name}`);
  const canvas = element("canvas");
  // The same can be done with the keyboard by the controls of the deck.
  const [start, end] = ["start", "end"].map((which) =>
    element("span", { className: `handle ${which}` }),
  );
  const playhead = element("span", { className: "playhead" });
  const lane = element(
    "div",
    { className: "lane", "aria-hidden": "true" },
    canvas,
    element("span", { className: "region" }, start, end),
    playhead,
  );
  pointing(lane, {
    onSeek: (fraction) => session.jump(fraction * song.frames),
    onSelect: (from, to, done) =>
      session.select({ start: from * song.frames, end: to * song.frames }, done),
    onCancel: () => session.cancelSelection(),
  });
  const controls = isMixture ? null : controlsOf(track, name, { t, sprite, session });
  const row = element(
    "div",
    { className: "strip", role: "group", "aria-label": name, "data-stem": track.name },
    element("strong", { className: "name" }, name),
    ...(controls?.parts ?? [hintOf({ song, t })]),
    lane,
  );
  return {
    row,
    canvas,
    playhead,
    download: controls?.download,
    refresh(region) {
      const heard = isMixture
        ? session.mix.original
        : !session.mix.original && isHeard(session.mix, track.name);
      row.classList.toggle("off", !heard);
      controls?.refresh();
      // A handle is dragged with the other end staying where it is.
      if (region) {
        start.dataset.fixed = region.end / song.frames;
        end.dataset.fixed = region.start / song.frames;
      }
    },
  };
}

function hintOf({ song, t }) {
  const hint = t(song.mixtureIsSong ? "player.select_hint" : "player.sum_hint");
  return element("span", { className: "faint small hint" }, hint);
}

function controlsOf(track, name, { t, sprite, session }) {
  const toggle = (letter, text, what) =>
    element(
      "button",
      {
        type: "button",
        className: `toggle letter ${what}`,
        title: text,
        "aria-label": text,
        onclick: () => session.toggleStem(track.name, what),
      },
      letter,
    );
  const mute = toggle("M", t("player.mute_one", { name }), "muted");
  const solo = toggle("S", t("player.solo_one", { name }), "soloed");
  const slider = (what, text, min, max, step, usual) => {
    const input = element("input", {
      type: "range",
      min,
      max,
      step,
      value: usual,
      title: text,
      "aria-label": text,
      oninput: () => session.setStem(track.name, what, Number(input.value)),
      ondblclick: () => session.setStem(track.name, what, usual),
    });
    return input;
  };
  const volume = slider("volume", t("player.volume_one", { name }), 0, LOUDEST, 0.05, 1);
  const pan = slider("pan", t("player.pan_one", { name }), -1, 1, 0.1, 0);
  const download = element(
    "a",
    {
      className: "button quiet icon",
      href: track.download,
      download: "",
      title: t("player.download_one", { name }),
      "aria-label": t("player.download_one", { name }),
    },
    icon(sprite, "download"),
  );
  return {
    download,
    parts: [
      element("div", { className: "buttons" }, mute, solo, download),
      element("div", { className: "sliders" }, volume, sides(pan)),
    ],
    refresh() {
      const set = session.mix.strips[track.name];
      press(mute, set.muted);
      press(solo, set.soloed);
      volume.value = set.volume;
      volume.setAttribute("aria-valuetext", decibels(set.volume));
      pan.value = set.pan;
      pan.setAttribute("aria-valuetext", panText(set.pan, t));
    },
  };
}

/** A slider between left and right. */
function sides(slider) {
  const side = (letter) => element("span", { "aria-hidden": "true" }, letter);
  return element("span", { className: "pan" }, side("L"), slider, side("R"));
}

function panText(pan, t) {
  const n = Math.round(Math.abs(pan) * 100);
  if (n === 0) return t("player.pan_centre");
  return t(pan < 0 ? "player.pan_left" : "player.pan_right", { n });
}
