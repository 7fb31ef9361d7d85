// Keyboard shortcuts. They work anywhere on the page, except in text fields and on a control that
// was reached by Tab and uses the key itself.

import { element } from "./dom.js";

const SKIP = 5; // seconds
const LOUDER = 0.1;

/** What the help shows: keys and the text of what they do. */
const SHOWN = [
  [["Space"], "play"],
  [["←", "→"], "seek"],
  [["Home", "End"], "ends"],
  [["L"], "loop"],
  [["A", "B", "[", "]"], "bounds"],
  [["Esc"], "clear"],
  [[",", "."], "speed"],
  [["J", "K"], "key"],
  [["O"], "original"],
  [["1–9"], "mute"],
  [["Shift + 1–9"], "solo"],
  [["−", "+"], "volume"],
  [["Page Up", "Page Down"], "pedal"],
  [["?"], "help"],
];

/** Keys by their place on the keyboard, since other layouts print other characters on them. */
const PLACES = { BracketLeft: "[", BracketRight: "]", Minus: "-", Equal: "+", Comma: ",", Period: "." };
const REPEATED = new Set(["ArrowLeft", "ArrowRight", "+", "-", ",", "."]); // while they are held down

/**
 * @param {import("./session.js").Session} session
 * @param {{stems: string[], frames: number, seek: HTMLElement}} song seek: the position slider
 */
export function listen(session, { stems, frames, seek }) {
  const actions = {
    " ": () => session.toggle(),
    ArrowLeft: () => session.skip(-SKIP),
    ArrowRight: () => session.skip(SKIP),
    Home: () => session.seek(0),
    End: () => session.seek(frames),
    Escape: () => session.clearLoop(),
    l: () => session.toggleLoop(),
    ",": () => session.stepSpeed(-1),
    ".": () => session.stepSpeed(1),
    // Foot pedals for turning pages send these.
    PageUp: () => session.restart(),
    PageDown: () => session.toggle(),
    j: () => session.setKey(session.semitones - 1),
    k: () => session.setKey(session.semitones + 1),
    o: () => session.toggleOriginal(),
    a: () => session.setBound("start"),
    b: () => session.setBound("end"),
    "[": () => session.setBound("start"),
    "]": () => session.setBound("end"),
    "+": () => session.setVolume(session.mix.volume + LOUDER),
    "-": () => session.setVolume(session.mix.volume - LOUDER),
    "?": () => session.help(),
  };
  const digit = (number, shift) => {
    const stem = stems[number - 1];
    return stem && (() => session.toggleStem(stem, shift ? "soloed" : "muted"));
  };
  const reachedByTab = focusByTab();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    if (needs(event.target, event.key, seek, reachedByTab())) return;
    const number = /^Digit([1-9])$/.exec(event.code)?.[1];
    const key = nameOf(event, actions);
    const action = number ? digit(number, event.shiftKey) : actions[key];
    if (!action) return;
    event.preventDefault();
    if (!event.repeat || REPEATED.has(key)) action();
  });
  // Firefox clicks a focused button when the space bar is released.
  document.addEventListener("keyup", (event) => {
    if (event.key !== " " || document.querySelector("dialog[open]")) return;
    if (!needs(event.target, event.key, seek, reachedByTab())) event.preventDefault();
  });
}

/**
 * What a key means to the player: what it types or, if that means nothing, its place. The brackets
 * always go by their place: on many layouts they cannot be typed without a modifier.
 */
function nameOf({ key, code, shiftKey }, actions) {
  if (!shiftKey && code.startsWith("Bracket")) return PLACES[code];
  const typed = key.length === 1 ? key.toLowerCase() : key;
  return shiftKey || typed in actions ? typed : (PLACES[code] ?? typed);
}

/**
 * Follow how the focus moved. After Tab, keys belong to the control in focus; after a pointer, they
 * belong to the player. `:focus-visible` does not tell, as any key makes it true.
 * @returns {() => boolean} whether the focus was moved by Tab
 */
function focusByTab() {
  let byTab = false;
  document.addEventListener("keydown", ({ key }) => (byTab ||= key === "Tab"), true);
  document.addEventListener("pointerdown", () => (byTab = false), true);
  return () => byTab;
}

/** Whether a key belongs to the element in focus instead of the player. */
function needs(target, key, seek, byTab) {
  if (target === seek) return false; // its arrows go as far as everywhere
  if (target.matches("textarea, input:not([type=range])")) return true;
  if (target.matches("select")) return byTab || isOpen(target);
  if (!byTab) return false;
  if (target.matches("input[type=range]")) return /^(Arrow|Home|End|Page)/.test(key);
  return key === " " && target.matches("button, a, summary");
}

function isOpen(select) {
  return CSS.supports("selector(:open)") && select.matches(":open");
}

/** The list of keys, as a dialog. */
export function help(t) {
  const rows = SHOWN.map(([keys, text]) =>
    element(
      "div",
      {},
      element("dt", {}, ...keys.flatMap((key) => [element("kbd", {}, key), " "])),
      element("dd", {}, t(`player.keys.${text}`)),
    ),
  );
  const title = element("h2", { id: "keys-title" }, t("player.help_title"));
  const close = element("button", { type: "submit" }, t("player.close"));
  const form = element("form", { method: "dialog" }, title, element("dl", {}, ...rows), close);
  return element("dialog", { className: "card keys", "aria-labelledby": "keys-title" }, form);
}
