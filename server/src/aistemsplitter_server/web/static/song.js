// The page of a song that is not split yet: its state, live, and the player once it is there.

import { localTimes } from "./base.js";

const list = document.getElementById("song");
const events = new EventSource(`/studio/events?id=${list.dataset.id}`);
events.addEventListener("song", ({ data }) => {
  const { html, ended } = JSON.parse(data);
  list.innerHTML = html; // from our own template
  localTimes(list);
  if (!ended) return;
  events.close();
  location.reload();
});
events.addEventListener("end", () => events.close());
