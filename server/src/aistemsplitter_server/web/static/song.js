// The page of a song that is not split yet: its state, live, and the player once it is there.

import { localTimes } from "./base.js";

const list = document.getElementById("song");
const events = new EventSource(`/studio/events?id=${list.dataset.id}`);
events.addEventListener("song", ({ data }) => {
  list.innerHTML = JSON.parse(data).html; // from our own template
  localTimes(list);
});
events.addEventListener("end", () => {
  events.close();
  location.reload();
});
