// What every page does: times in the reader's zone, copy buttons, questions before what cannot be
// undone, and a line where htmx failed. Everything works on parts that htmx brings in later, too.

const language = document.documentElement.lang;
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
const percentage = new Intl.NumberFormat(language, { style: "percent" });

/** Show the times below an element in the reader's zone. */
export function localTimes(root) {
  for (const time of root.querySelectorAll("time[data-moment], time[data-day]")) {
    const when = new Date(time.dateTime);
    time.textContent = ("day" in time.dataset ? day : moment).format(when);
    time.title = moment.format(when);
  }
}

/** A share as the page's language writes it, such as 35% for 0.35. */
export function percent(share) {
  return percentage.format(share);
}

/** Say something for a few seconds. */
export function toast(text, kind = "") {
  const line = document.createElement("p");
  line.className = `toast ${kind}`;
  line.textContent = text;
  document.getElementById("toasts").append(line);
  setTimeout(() => line.remove(), 6000);
}

/**
 * The texts that the page contains for its scripts, by key; {name} is replaced. A text with a
 * plural is an object of its forms by plural category.
 */
export function texts() {
  const found = JSON.parse(document.getElementById("texts").textContent);
  const plural = new Intl.PluralRules(language);
  return (key, values = {}) => {
    const text = found[key] ?? key;
    const form = typeof text === "string" ? text : (text[plural.select(values.n)] ?? text.other);
    return form.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  };
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  await copy(source.value ?? source.textContent);
  const before = button.textContent;
  button.textContent = button.dataset.copied;
  setTimeout(() => (button.textContent = before), 2000);
});

// A form or button with data-confirm asks first.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
}, true);

// A form with data-once is not sent twice by a double click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!("once" in form.dataset) || event.defaultPrevented) return;
  if (form.isSent) event.preventDefault();
  form.isSent = true;
  setTimeout(() => (form.isSent = false), 3000);
});

document.addEventListener("htmx:afterSettle", (event) => localTimes(event.target));
document.addEventListener("htmx:responseError", (event) => {
  toast(event.detail.xhr.responseText, "danger");
});

localTimes(document);

/** Put a text onto the clipboard, also where the page came without https. */
async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
