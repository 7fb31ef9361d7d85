// Small helpers to build the page's parts.

/**
 * An element with properties, attributes and children.
 * @param {string} tag
 * @param {Record<string, any>} [given] aria-*, data-* and the like are attributes, onclick and the
 *   like listeners, everything else properties
 * @param {...(Node | string)} children
 */
export function element(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** An icon of the page's sprite. */
export function icon(sprite, name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}

/** Seconds as 3:05 or 1:02:03, with tenths where asked for. */
export function clock(seconds, tenths = false) {
  const whole = Math.floor(seconds + 1e-6);
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const shown = hours ? `${hours}:${two(minutes)}` : String(minutes);
  const tenth = tenths ? `.${Math.floor((seconds + 1e-6 - whole) * 10)}` : "";
  return `${shown}:${two(whole % 60)}${tenth}`;
}

/** Show on a button whether it is pressed. */
export function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}
