// The keyboard: what is pressed anywhere on the page, unless the thing in focus needs it itself.

import { element } from "./dom.js";

const SKIP = 5; // seconds
const LOUDER = 0.1;

/** What the help shows: keys and the text of what they do. */
const SHOWN = [
  [["Space"], "play"],
  [["←", "→"], "seek"],
  [["Home", "End"], "ends"],
  [["L"], "loop"],
  [["[", "]"], "bounds"],
  [["O"], "original"],
  [["1–9"], "mute"],
  [["Shift + 1–9"], "solo"],
  [["−", "+"], "volume"],
  [["?"], "help"],
];

/**
 * @param {import("./session.js").Session} session
 * @param {{stems: string[], frames: number, seek: HTMLElement}} song seek: the slider of the place
 */
export function listen(session, { stems, frames, seek }) {
  const plain = {
    " ": () => session.toggle(),
    ArrowLeft: () => session.skip(-SKIP),
    ArrowRight: () => session.skip(SKIP),
    Home: () => session.seek(0),
    End: () => session.seek(frames),
    l: () => session.toggleLoop(),
    o: () => session.toggleOriginal(),
    "[": () => session.setBound("start"),
    "]": () => session.setBound("end"),
    "+": () => session.setVolume(session.mix.volume + LOUDER),
    "=": () => session.setVolume(session.mix.volume + LOUDER),
    "-": () => session.setVolume(session.mix.volume - LOUDER),
    "?": () => session.help(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") || needs(event.target, event.key, seek)) return;
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    const action = digit
      ? () => stems[digit - 1] && session.toggleStem(stems[digit - 1], event.shiftKey ? "soloed" : "muted")
      : plain[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** Whether an element does something of its own with a key, as one expects who got there by keys. */
function needs(target, key, seek) {
  if (target === seek) return false; // its arrows go as far as everywhere
  if (target.matches("textarea, select, input:not([type=range])")) return true;
  if (!target.matches(":focus-visible")) return false;
  if (target.matches("input[type=range]")) return /^(Arrow|Home|End|Page)/.test(key);
  return key === " " && target.matches("button, a, summary");
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
