// Sliders on touch screens: a swipe that scrolls the page does not change one it begins on.

/** Pixels that a finger moves before its direction counts. */
export const SLACK = 8;

/**
 * Whether a finger moves along or across; null while that cannot be told.
 * @returns {"along" | "across" | null}
 */
export function direction(from, event) {
  const [x, y] = [Math.abs(event.clientX - from.x), Math.abs(event.clientY - from.y)];
  if (Math.max(x, y) <= SLACK) return null;
  return x > y ? "along" : "across";
}

/**
 * Let the sliders below an element change only by a tap or by moving along them. Browsers set a
 * slider as soon as a finger touches it.
 * @param {HTMLElement} root
 */
export function steady(root) {
  let touch = null; // the finger that is down, or was last
  const isHeld = (target) => touch?.slider === target && touch.moved !== "along";
  root.addEventListener("pointerdown", (event) => {
    touch = null;
    if (event.pointerType !== "touch" || !event.target.matches("input[type=range]")) return;
    const slider = event.target;
    touch = { slider, value: slider.value, x: event.clientX, y: event.clientY, moved: null };
  }, true);
  root.addEventListener("pointermove", (event) => {
    if (touch && !touch.moved) touch.moved = direction(touch, event);
  }, true);
  root.addEventListener("pointercancel", () => {
    if (touch && touch.moved !== "along") restore(touch);
  }, true);
  root.addEventListener("pointerup", () => {
    if (!touch || touch.moved) return;
    touch.moved = "along"; // a tap
    touch.slider.dispatchEvent(new Event("input", { bubbles: true }));
  }, true);
  for (const name of ["input", "change"]) {
    root.addEventListener(name, (event) => {
      if (!isHeld(event.target)) return;
      event.stopImmediatePropagation();
      if (touch.moved === "across") restore(touch);
    }, true);
  }
}

/** Give a slider back the value it had before a finger touched it. */
function restore(touch) {
  touch.moved = "across";
  touch.slider.value = touch.value;
}
