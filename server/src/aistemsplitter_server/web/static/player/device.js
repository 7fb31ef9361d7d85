// The device's controls for the player on lock screens, keyboards and headphones (Media Session), and
// a screen that stays on while music plays (Screen Wake Lock).

const SKIP = 5; // seconds
const TICK = 1000; // ms between two updates of the position, as loops jump
const SILENCE = { seconds: 10, rate: 8000, middle: 128 }; // 8-bit samples; browsers ignore sounds below 5 s

/**
 * @param {object} parts
 * @param {import("./session.js").Session} parts.session
 * @param {import("./transport.js").Transport} parts.transport
 * @param {import("./pieces.js").Song} parts.song
 * @param {string} parts.title
 * @param {string} parts.artwork URL of a square picture, 512 pixels wide
 */
export function connect({ session, transport, song, title, artwork }) {
  keepAwake(transport);
  if ("mediaSession" in navigator) showOutside({ session, transport, song, title, artwork });
}

function showOutside({ session, transport, song, title, artwork }) {
  const media = navigator.mediaSession;
  media.metadata = new MediaMetadata({
    title,
    artwork: [{ src: artwork, sizes: "512x512", type: "image/png" }],
  });
  const [sound, seconds] = [silentSound(), song.frames / song.sampleRate];
  const handlers = {
    play: () => session.isPlaying || session.toggle(),
    pause: () => transport.pause(),
    previoustrack: () => session.restart(),
    seekbackward: ({ seekOffset }) => session.skip(-(seekOffset ?? SKIP)),
    seekforward: ({ seekOffset }) => session.skip(seekOffset ?? SKIP),
    seekto: ({ seekTime }) => session.seek(seekTime * song.sampleRate),
  };
  for (const [action, handler] of Object.entries(handlers)) {
    try {
      media.setActionHandler(action, handler);
    } catch {
      // This browser does not know the action.
    }
  }
  const place = () =>
    media.setPositionState?.({
      duration: seconds,
      playbackRate: transport.speed,
      position: Math.min(seconds, transport.position / song.sampleRate),
    });
  let timer = null;
  transport.addEventListener("change", () => {
    const { isPlaying } = transport;
    media.playbackState = isPlaying ? "playing" : "paused";
    place();
    clearInterval(timer);
    if (isPlaying) {
      timer = setInterval(place, TICK);
      sound.play().catch(() => {}); // refused without a gesture; the device then shows no controls
    } else sound.pause();
  });
  // Another app takes the loudspeakers, or the headphones are pulled out.
  sound.addEventListener("pause", () => sound.paused && transport.pause());
}

/** A silent, repeated sound: devices show controls only for media elements, not for Web Audio. */
function silentSound() {
  const { seconds, rate, middle } = SILENCE;
  const frames = seconds * rate;
  const bytes = new Uint8Array(44 + frames).fill(middle, 44);
  const view = new DataView(bytes.buffer);
  const text = (at, letters) => bytes.set(new TextEncoder().encode(letters), at);
  text(0, "RIFF");
  view.setUint32(4, 36 + frames, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, rate, true);
  view.setUint16(32, 1, true);
  view.setUint16(34, 8, true); // bits
  text(36, "data");
  view.setUint32(40, frames, true);
  const sound = new Audio(URL.createObjectURL(new Blob([bytes], { type: "audio/wav" })));
  sound.loop = true;
  return sound;
}

/** Keep the screen on while the song plays. Browsers release the lock when the page is hidden. */
function keepAwake(transport) {
  if (!("wakeLock" in navigator)) return;
  let [lock, isAsking] = [null, false];
  const update = async () => {
    const isWanted = transport.isPlaying && document.visibilityState === "visible";
    if (isWanted && (!lock || lock.released) && !isAsking) {
      isAsking = true;
      lock = await navigator.wakeLock.request("screen").catch(() => null); // refused, for example on low battery
      isAsking = false;
      if (lock) update(); // it may have been paused meanwhile
    } else if (!isWanted && lock) {
      lock.release();
      lock = null;
    }
  };
  transport.addEventListener("change", update);
  document.addEventListener("visibilitychange", update);
}
