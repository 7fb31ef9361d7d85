// The player of a song's page: waits for the server to have it ready, and puts its parts together.

import { ask } from "../asking.js";
import { texts } from "../base.js";
import { deck } from "./deck.js";
import { connect } from "./device.js";
import { element } from "./dom.js";
import { Graph } from "./graph.js";
import { help, listen } from "./keys.js";
import { mixdown } from "./mixdown.js";
import { Pieces } from "./pieces.js";
import { Memory } from "./remember.js";
import { Session } from "./session.js";
import { strips } from "./strips.js";
import { steady } from "./touch.js";
import { Transport, stemsOf } from "./transport.js";

const LOOK = 1500; // ms between two questions whether it is ready
const IDLE = 500; // ms without playing, before the audio device is let go
const SAVED = 10_000; // ms until a file's URL is revoked, when its download has long begun
const RENEWED = 0.8; // of the links' life, after which there are new ones

const root = document.getElementById("player");
const preparing = document.getElementById("preparing");
const t = texts();

async function told() {
  const answer = await fetch(root.dataset.source, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer.json();
}

/** What the server tells once the song is ready; until then the page says what is going on. */
async function ready() {
  const line = preparing.querySelector("p");
  for (;;) {
    try {
      const song = await told();
      if (song.state === "ready") return song;
      line.textContent = t("player.preparing");
      if (song.state === "failed") throw new Failed(t("player.failed"));
    } catch (error) {
      if (error instanceof Failed) throw error;
      line.textContent = t("player.unreachable");
    }
    preparing.hidden = false;
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}

class Failed extends Error {}

function build(song) {
  const context = new AudioContext({ sampleRate: song.sampleRate, latencyHint: "playback" });
  const names = song.tracks.map(({ name }) => name);
  const graph = new Graph(context, names);
  const pieces = new Pieces(song, (bytes) => context.decodeAudioData(bytes), { renew: told });
  const transport = new Transport(context, graph, pieces, song);
  const { icons: sprite, stretch } = root.dataset;
  const session = new Session({ context, graph, transport, song, t, stretch });
  const controls = deck({ transport, t, sprite, song, session });
  const rows = strips({ song, t, sprite, session });
  const spoken = element("p", { className: "visually-hidden", role: "status" });
  const trouble = element("p", { className: "notice warning", role: "status", hidden: true });
  const keys = help(t);
  root.replaceChildren(trouble, controls.bar, rows.list, spoken, keys);
  root.classList.remove("coming");
  steady(root);

  const place = () => {
    const heard = context.currentTime - session.latency;
    const frame = transport.positionAt(Math.max(0, heard) * song.sampleRate);
    controls.place(frame);
    rows.place(frame);
  };
  const refresh = () => {
    controls.refresh();
    rows.refresh();
    if (!transport.isPlaying) place();
  };
  let moving = 0;
  const move = () => {
    place();
    moving = requestAnimationFrame(move);
  };
  let idle = 0;
  context.suspend(); // until somebody wants to hear something
  context.addEventListener("statechange", () => {
    if (context.state !== "running") transport.pause(); // a call comes in, or the device is gone
  });
  transport.addEventListener("change", () => {
    cancelAnimationFrame(moving);
    clearTimeout(idle);
    if (transport.isPlaying) move();
    else idle = setTimeout(() => context.suspend(), IDLE);
    trouble.hidden ||= !transport.isWaiting;
  });
  pieces.addEventListener("trouble", () => {
    trouble.textContent = t("player.unreachable");
    trouble.hidden = false;
  });
  pieces.addEventListener("window", () => (trouble.hidden = true));
  session.addEventListener("change", refresh);
  session.addEventListener("said", ({ detail }) => (spoken.textContent = detail));
  session.addEventListener("grid", () => {
    const { grid } = root.dataset; // only its owner's page has a URL to correct it
    if (grid) ask(grid, session.grid).catch(() => {}); // what is heard is right all the same
  });
  session.addEventListener("help", () => keys.showModal());
  listen(session, { stems: stemsOf(song), frames: song.frames, seek: controls.seek });
  const memory = new Memory({
    key: root.dataset.source,
    account: root.dataset.state,
    session,
    song,
  });
  memory.recall();
  memory.keep();
  playAlone(transport);
  const { title, artwork } = root.dataset;
  connect({ session, transport, song, title, artwork });
  refresh();

  const stems = document.querySelectorAll("#downloads [data-stem]");
  const renew = async () => {
    const fresh = await told();
    song.tracks.forEach((track, at) => (track.url = fresh.tracks[at].url));
    rows.renew(fresh);
    for (const link of stems) {
      link.href = fresh.tracks.find(({ name }) => name === link.dataset.stem).download;
    }
  };
  setInterval(() => renew().catch(() => {}), song.urlSeconds * 1000 * RENEWED);
  prepareMix(song, pieces, session);
}

/** Pause when a player in another tab begins. */
function playAlone(transport) {
  const tabs = new BroadcastChannel("player");
  let wasPlaying = false;
  transport.addEventListener("change", () => {
    if (transport.isPlaying && !wasPlaying) tabs.postMessage("plays");
    wasPlaying = transport.isPlaying;
  });
  tabs.addEventListener("message", () => transport.pause());
}

/** Let the button render the mix and save it; while it does, it stops that. */
function prepareMix(song, pieces, session) {
  const [button, says] = document.getElementById("mix").children;
  let abort = null;
  const rest = () => (button.textContent = t("player.mix"));
  button.disabled = false;
  button.addEventListener("click", async () => {
    if (abort) {
      abort.abort();
      return;
    }
    abort = new AbortController();
    button.textContent = t("player.cancel");
    try {
      const onProgress = (done) =>
        (says.textContent = t("player.mixing", { n: Math.round(done * 100) }));
      onProgress(0);
      save(
        await mixdown(song, pieces, session.mix, {
          semitones: session.transposition,
          library: root.dataset.stretch,
          onProgress,
          signal: abort.signal,
        }),
        song.mixFilename,
      );
      says.textContent = "";
    } catch (error) {
      says.textContent = error.name === "AbortError" ? "" : t("player.mix_failed");
    } finally {
      abort = null;
      rest();
    }
  });
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), SAVED);
}

async function start() {
  if (!("AudioContext" in window)) throw new Failed(t("player.unsupported"));
  build(await ready());
}

start().catch((error) => {
  const text = error instanceof Failed ? error.message : t("player.unsupported");
  root.replaceChildren(element("p", { className: "notice warning", role: "status" }, text));
  root.classList.remove("coming");
  if (!(error instanceof Failed)) throw error;
});
