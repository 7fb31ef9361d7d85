// The keyboard's place in a list whose rows htmx replaces and removes.

/**
 * Keep the focus in a list when the server's response replaces or removes the row that has it.
 * @param {HTMLElement} list
 * @param {HTMLElement} heading gets the focus when the list is empty
 */
export function keepFocus(list, heading) {
  let place = null; // of the row, while its request runs
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    const row = [...list.children].find((each) => each.contains(detail.elt));
    place = row?.contains(document.activeElement) ? [...list.children].indexOf(row) : null;
  });
  document.addEventListener("htmx:beforeSwap", () => {
    if (place === null) return;
    const before = place;
    place = null;
    queueMicrotask(() => {
      const row = list.children[Math.min(before, list.children.length - 1)];
      (row?.querySelector("a, button") ?? heading).focus();
    });
  });
}
