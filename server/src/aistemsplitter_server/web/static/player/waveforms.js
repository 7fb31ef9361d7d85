// The waveforms, from what the server measured; the playhead and the loop lie over all of them.

import { direction } from "./touch.js";

const DRAG = 5; // pixels that a mouse moves before it is a drag, not a click

/** Peaks and levels of a track, as the server packed them: a byte each, 255 is full scale. */
export function unpack(track) {
  const bytes = (packed) => Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  return { peaks: bytes(track.peaks), levels: bytes(track.levels) };
}

/**
 * Draw a waveform onto its canvas, in the colour of the element's text.
 * @param {HTMLCanvasElement} canvas
 * @param {{peaks: Uint8Array, levels: Uint8Array}} waveform
 * @param {number} top what the canvas is high enough for
 */
export function draw(canvas, { peaks, levels }, top) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height) return;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).color;
  const bar = Math.max(1, Math.round(2 * ratio));
  const step = bar + Math.max(1, Math.round(ratio));
  for (const [values, opacity] of [
    [peaks, 0.4],
    [levels, 1],
  ]) {
    context.globalAlpha = opacity;
    for (let x = 0; x < width; x += step) {
      const value = highest(values, x / width, (x + step) / width) / top;
      const tall = Math.max(ratio, value * (height - 2 * ratio));
      context.fillRect(x, (height - tall) / 2, bar, tall);
    }
  }
}

function highest(values, from, to) {
  const start = Math.floor(from * values.length);
  const end = Math.max(start + 1, Math.min(values.length, Math.ceil(to * values.length)));
  let found = 0;
  for (let at = start; at < end; at += 1) found = Math.max(found, values[at] ?? 0);
  return found;
}

/** Draw all in one scale, and again when sizes or colours change. */
export function keepDrawn(canvases, waveforms) {
  const top = Math.max(1, ...waveforms.map(({ peaks }) => highest(peaks, 0, 1)));
  const one = (canvas) => draw(canvas, waveforms[canvases.indexOf(canvas)], top);
  const resized = new ResizeObserver((entries) => entries.forEach(({ target }) => one(target)));
  canvases.forEach((canvas) => resized.observe(canvas));
  const colours = window.matchMedia("(prefers-color-scheme: dark)");
  colours.addEventListener("change", () => canvases.forEach(one));
}

/**
 * Let a pointer on the waveforms seek by a click, and choose a part by a drag. A finger that moves
 * across the waveforms scrolls the page and does neither.
 * @param {HTMLElement} area the waveforms' common left, right, top and bottom
 * @param {object} on fractions of the song
 * @param {(fraction: number) => void} on.onSeek
 * @param {(from: number, to: number, done: boolean) => void} on.onSelect
 * @param {() => void} on.onCancel the part is not chosen after all
 */
export function pointing(area, { onSeek, onSelect, onCancel }) {
  let from = null;
  let dragging = false;
  const fraction = (event) => {
    const { left, width } = area.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - left) / width));
  };
  const select = (event, done) => {
    const to = fraction(event);
    onSelect(Math.min(from.at, to), Math.max(from.at, to), done);
  };
  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    // On a handle the other end stays where it is.
    const fixed = event.target.dataset.fixed;
    from = {
      at: fixed === undefined ? fraction(event) : Number(fixed),
      x: event.clientX,
      y: event.clientY,
      isHandle: fixed !== undefined,
    };
    dragging = false;
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointermove", (event) => {
    if (!from) return;
    if (!dragging && event.pointerType === "touch") {
      const moved = direction(from, event);
      if (moved === "across") from = null;
      dragging = moved === "along";
    }
    dragging ||= event.pointerType !== "touch" && Math.abs(event.clientX - from.x) > DRAG;
    if (dragging) select(event, false);
  });
  area.addEventListener("pointerup", (event) => {
    if (!from) return;
    if (dragging) select(event, true);
    else if (!from.isHandle) onSeek(fraction(event));
    from = null;
  });
  area.addEventListener("pointercancel", () => {
    if (from && dragging) onCancel();
    from = null;
  });
}
