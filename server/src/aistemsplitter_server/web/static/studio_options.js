// More options of a split: which of them a format has, those that were chosen, and what they cost.

const NUMBERS = ["bitDepth", "bitrate", "sampleRate", "shifts", "overlap", "previewSeconds"];
const NAMES = [...NUMBERS, "normalize", "clip", "precision"];
const USUAL_OVERLAP = 0.25;

/** Show the fields and choices that the format has. A choice that it lacks is dropped. */
export function showOptions(form) {
  const format = form.elements.format.value;
  for (const part of form.querySelectorAll(".more-options [data-formats]")) {
    const there = part.dataset.formats.split(" ").includes(format);
    part.hidden = !there;
    const list = part.closest("label").querySelector("select");
    if (part.matches("option")) part.disabled = !there;
    if (!there && (part.matches("label") || part.selected)) list.value = "";
  }
  const { clip, bitDepth } = form.elements;
  clip.closest("label").hidden = bitDepth.value === "32"; // floating point is never clipped
  if (bitDepth.value === "32") clip.value = "";
}

/** Options that differ from the defaults; undefined if there are none. */
export function chosenOptions(form) {
  const chosen = {};
  for (const name of NAMES) {
    const { value } = form.elements[name];
    if (value) chosen[name] = NUMBERS.includes(name) ? Number(value) : value;
  }
  return Object.keys(chosen).length ? chosen : undefined;
}

/** The credits that a song of so many seconds costs. */
export function priceOf(seconds, options = {}) {
  const { shifts = 0, overlap = USUAL_OVERLAP, previewSeconds = Infinity } = options;
  const factor = Math.max(1, shifts) * Math.max(1, (1 - USUAL_OVERLAP) / (1 - overlap));
  return Math.max(1, Math.ceil(Math.min(seconds, previewSeconds) * factor));
}
