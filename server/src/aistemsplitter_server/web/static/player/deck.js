// The controls of what is common to all tracks: playing, place, loop, speed, key, comparison, volume.

import { percent } from "../base.js";
import { clock, element, icon, press } from "./dom.js";
import { FINEST, WIDEST } from "./mix.js";
import { rhythm } from "./rhythm.js";
import { SPEEDS } from "./transport.js";

const SLIDER_STEP = 0.1; // seconds

/**
 * @param {object} told
 * @param {import("./transport.js").Transport} told.transport
 * @param {(key: string, values?: object) => string} told.t the texts
 * @param {string} told.sprite of icons
 * @param {import("./pieces.js").Song} told.song
 * @param {import("./session.js").Session} told.session what the controls do
 */
export function deck({ transport, t, sprite, song, session }) {
  const seconds = song.frames / song.sampleRate;
  const play = element(
    "button",
    { className: "primary icon play", type: "button", onclick: () => session.toggle() },
    icon(sprite, "play"),
  );
  const at = element("span", { className: "at" });
  const loading = element("span", { className: "loading faint small" }, t("player.loading"));
  const seek = element("input", {
    type: "range",
    className: "seek",
    min: 0,
    max: seconds,
    step: SLIDER_STEP,
    "aria-label": t("player.position"),
    oninput: () => showPlace(seek.value * song.sampleRate),
    onchange: () => session.seek(seek.value * song.sampleRate),
  });
  let dragging = false;
  seek.addEventListener("pointerdown", () => (dragging = true));
  for (const end of ["pointerup", "pointercancel"]) {
    seek.addEventListener(end, () => (dragging = false));
  }

  const loop = element(
    "button",
    { type: "button", className: "toggle", onclick: () => session.toggleLoop() },
    icon(sprite, "loop"),
    t("player.loop"),
  );
  const bound = (which) =>
    element("button", {
      type: "button",
      className: "bound",
      onclick: () => session.setBound(which),
    });
  const [from, to] = [bound("start"), bound("end")];

  const speed = element(
    "select",
    { id: "speed", onchange: () => session.setSpeed(Number(speed.value)) },
    ...SPEEDS.map((value) => element("option", { value, selected: value === 1 }, `${value}×`)),
  );
  const pitch = element("span", { className: "faint small", hidden: true }, t("player.speed_pitch"));
  const key = element(
    "select",
    { id: "key", onchange: () => session.setKey(Number(key.value)) },
    ...Array.from({ length: 2 * WIDEST + 1 }, (_, at) => WIDEST - at).map((value) =>
      element("option", { value, selected: value === 0 }, signed(value)),
    ),
  );
  const cents = element("input", {
    type: "range",
    id: "cents",
    min: -FINEST,
    max: FINEST,
    step: 1,
    value: 0,
    "aria-label": t("player.cents"),
    oninput: () => session.setCents(Number(cents.value)),
    ondblclick: () => session.setCents(0),
  });
  const centsShown = element("span", { className: "cents small", "aria-hidden": "true" });

  const hasOriginal = song.tracks.some(({ name }) => name === "mixture");
  const compare = element(
    "button",
    {
      type: "button",
      className: "toggle",
      hidden: !hasOriginal,
      title: t(song.mixtureIsSong ? "player.compare" : "player.compare_sum"),
      onclick: () => session.toggleOriginal(),
    },
    t(song.mixtureIsSong ? "player.original" : "player.sum"),
  );
  const volume = element("input", {
    type: "range",
    id: "volume",
    min: 0,
    max: 1,
    step: 0.05,
    value: 1,
    oninput: () => session.setVolume(Number(volume.value)),
  });
  const help = element(
    "button",
    { type: "button", className: "quiet keyboard", onclick: () => session.help() },
    t("player.help"),
  );

  const beats = rhythm({ t, song, session });
  const bar = element(
    "div",
    { className: "deck card", role: "group", "aria-label": t("player.transport") },
    element(
      "div",
      { className: "line main" },
      play,
      element("span", { className: "times" }, at, ` / ${clock(seconds)}`),
      seek,
      loading,
    ),
    element(
      "div",
      { className: "line tools" },
      element("div", { className: "group" }, loop, from, to),
      element(
        "div",
        { className: "group" },
        element("label", { for: "speed" }, t("player.speed")),
        speed,
        pitch,
      ),
      element(
        "div",
        { className: "group" },
        element("label", { for: "key" }, t("player.key")),
        key,
        cents,
        centsShown,
      ),
      compare,
      element(
        "div",
        { className: "group" },
        element("label", { for: "volume" }, t("player.volume")),
        volume,
      ),
      help,
    ),
    beats.line,
  );

  function showPlace(frame) {
    const text = clock(frame / song.sampleRate);
    if (text === at.textContent) return;
    at.textContent = text;
    seek.setAttribute(
      "aria-valuetext",
      t("player.position_value", { at: text, all: clock(seconds) }),
    );
  }

  return {
    bar,
    seek,
    /** Show where it is. */
    place(frame) {
      if (dragging) return;
      const value = (frame / song.sampleRate).toFixed(1);
      if (value !== seek.value) seek.value = value;
      showPlace(frame);
    },
    /** Show everything else. */
    refresh() {
      beats.refresh();
      const name = transport.isPlaying ? "pause" : "play";
      play.replaceChildren(icon(sprite, name));
      play.setAttribute("aria-label", t(`player.${name}`));
      play.title = t(`player.${name}`);
      bar.classList.toggle("waiting", transport.isWaiting);
      press(loop, Boolean(transport.loop));
      press(compare, session.mix.original);
      const region = session.region;
      for (const [button, which] of [
        [from, "start"],
        [to, "end"],
      ]) {
        const time = region && clock(region[which] / song.sampleRate, true);
        button.textContent = time ?? (which === "start" ? "[" : "]");
        const text = time
          ? t(`player.loop_${which}_at`, { at: time })
          : t(`player.loop_${which}`);
        button.setAttribute("aria-label", text);
        button.title = text;
      }
      speed.value = session.speed;
      volume.value = session.mix.volume;
      volume.setAttribute("aria-valuetext", percent(session.mix.volume));
      pitch.hidden = session.canShift || transport.speed === 1;
      key.value = session.semitones;
      cents.value = session.cents;
      const value = signed(session.cents);
      cents.setAttribute("aria-valuetext", t("player.cents_value", { n: value }));
      centsShown.textContent = `${value}¢`;
      for (const control of [key, cents]) {
        control.disabled = !session.canShift;
        control.title = t(session.canShift ? "player.key_hint" : "player.key_unsupported");
      }
    },
  };
}

/** A number with its sign, also where it is positive. */
function signed(value) {
  return value > 0 ? `+${value}` : String(value).replace("-", "−");
}
