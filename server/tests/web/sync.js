// What the tests do in the browser with the player's own modules.

/** The modules, from where the page has its own. */
async function modules(assets) {
  const names = ["pieces", "graph", "transport", "mix", "mixdown"];
  const found = await Promise.all(names.map((name) => import(`${assets}/player/${name}.js`)));
  return Object.assign({}, ...found);
}

function namesOf(song) {
  return song.tracks.map(({ name }) => name);
}

/** Without a clock of its own, so that it is pumped by whoever renders. */
function withoutTimer(make) {
  const { setInterval } = window;
  window.setInterval = () => 0;
  try {
    return make();
  } finally {
    window.setInterval = setInterval;
  }
}

/**
 * Play in an OfflineAudioContext; `actions` are done when their second has come.
 * @returns the sum of what the loudspeakers would get
 */
async function rendered(assets, song, seconds, actions, mix = {}) {
  const { Pieces, Graph, Transport, plain } = await modules(assets);
  const rate = song.sampleRate;
  const context = new OfflineAudioContext(2, seconds * rate, rate);
  const graph = new Graph(context, namesOf(song));
  graph.output.connect(context.destination);
  const set = Object.assign(plain(namesOf(song).filter((name) => name !== "mixture")), mix);
  graph.apply(set, { glide: false });
  const pieces = new Pieces(song, (bytes) => context.decodeAudioData(bytes));
  const transport = new Transport(context, graph, pieces, song);
  const load = async () => {
    for (let number = 0; number < pieces.count; number += 1) await pieces.load(number);
  };
  await load();
  const due = [...actions].sort((one, other) => one.at - other.at);
  const things = { transport, graph, set, rate, pieces };
  for (let at = 0; at < seconds; at += 0.25) {
    context.suspend(at).then(async () => {
      while (due.length && due[0].at <= at) withoutTimer(() => due.shift().do(things));
      transport.pump();
      await context.resume();
    });
  }
  const buffer = await context.startRendering();
  return { channels: [buffer.getChannelData(0), buffer.getChannelData(1)], transport, pieces };
}

function loudest(channels) {
  let found = 0;
  for (const channel of channels) for (const value of channel) found = Math.max(found, Math.abs(value));
  return found;
}

const dB = (value) => (value > 0 ? 20 * Math.log10(value) : -200);

/** A minute of jumps, loops and speeds. */
function journey() {
  const act = (at, run) => ({ at, do: run });
  const to = (second) => ({ transport, rate }) => transport.seek(second * rate);
  const loop = (start, end) => ({ transport, rate }) =>
    (transport.loop = end ? { start: start * rate, end: end * rate } : null);
  const speed = (value) => ({ transport }) => (transport.speed = value);
  return [
    act(0, ({ transport }) => transport.play()),
    act(4, to(17.3)),
    act(7, to(4.98)),
    act(9, loop(8.1, 9.37)),
    act(16, loop(9.0, 10.5)),
    act(20, loop(0, 0)),
    act(22, to(29.2)),
    act(25, to(0)),
    act(26, speed(0.75)),
    act(31, to(11.111)),
    act(33, speed(1.25)),
    act(37, loop(14.9, 15.2)),
    act(41, loop(0, 0)),
    act(42, speed(1)),
    act(44, to(21.5)),
    act(46, ({ transport }) => transport.pause()),
    act(47, ({ transport }) => transport.play()),
    act(50, to(9.9999)),
    act(51, speed(0.95)),
    act(52, speed(2)),
    act(55, to(3)),
    act(57, speed(0.5)),
  ];
}

/** Two stems of which one is the other upside down: nothing is heard, whatever happens. */
export async function offlineSync(assets, song) {
  const both = await rendered(assets, song, 60, journey());
  const { plain } = await modules(assets);
  const alone = plain(namesOf(song));
  alone.strips[namesOf(song)[1]].muted = true;
  const one = await rendered(assets, song, 60, journey(), alone);
  const silent = one.channels[0].filter((value) => value === 0).length;
  return {
    sum: dB(loudest(both.channels)),
    alone: dB(loudest(one.channels)),
    heard: 1 - silent / one.channels[0].length,
  };
}

/** A loop is the same samples again and again, without one too many or too few between. */
export async function offlineLoop(assets, song, start, end, seconds) {
  const { channels, transport } = await rendered(assets, song, seconds, [
    {
      at: 0,
      do: ({ transport }) => {
        transport.loop = { start, end };
        transport.seek(start);
        transport.play();
      },
    },
  ]);
  return { channels: channels.map(packed), loop: transport.loop };
}

/** The largest step between two samples of a loop that repeats, without where it begins. */
export async function offlineLoopJumps(assets, song, start, end, speed, passes) {
  const seconds = Math.ceil(((passes + 1) * (end - start)) / speed / song.sampleRate);
  const { channels, transport } = await rendered(assets, song, seconds, [
    {
      at: 0,
      do: ({ transport }) => {
        transport.loop = { start, end };
        transport.speed = speed;
        transport.seek(start);
        transport.play();
      },
    },
  ]);
  const heard = channels[0];
  let jump = 0;
  for (let at = 1; at < heard.length; at += 1) {
    jump = Math.max(jump, Math.abs(heard[at] - heard[at - 1]));
  }
  const pass = (transport.loop.end - transport.loop.start) / speed;
  return { jump, highest: loudest(channels), passes: (heard.length - song.sampleRate / 2) / pass };
}

/** From the stems to the original and back, while it plays. */
export async function offlineOriginal(assets, song, seconds) {
  const original = (on) => ({ graph, set }) => {
    set.original = on;
    graph.apply(set);
  };
  const { channels } = await rendered(assets, song, seconds, [
    { at: 0, do: ({ transport }) => transport.play() },
    { at: 2, do: original(true) },
    { at: 4, do: original(false) },
    { at: 5, do: original(true) },
  ]);
  return channels.map(packed);
}

/**
 * Play from the start, at one speed after another.
 * @param {number[][]} changes seconds and speeds
 * @param {number} delay seconds until it begins
 */
export async function offlineSpeeds(assets, song, seconds, changes, delay = 0) {
  const { channels } = await rendered(assets, song, seconds, [
    { at: 0, do: ({ transport }) => transport.play(delay) },
    ...changes.map(([at, speed]) => ({ at, do: ({ transport }) => (transport.speed = speed) })),
  ]);
  return channels.map(packed);
}

/** Play from the start, at a speed. */
export async function offlineSpeed(assets, song, seconds, speed) {
  const { channels } = await rendered(assets, song, seconds, [
    {
      at: 0,
      do: ({ transport }) => {
        transport.speed = speed;
        transport.play();
      },
    },
  ]);
  return channels.map(packed);
}

/** The file of the mix, as its bytes. */
export async function mixed(assets, song, change) {
  const { Pieces, mixdown, plain } = await modules(assets);
  const context = new OfflineAudioContext(2, 1, song.sampleRate);
  const pieces = new Pieces(song, (bytes) => context.decodeAudioData(bytes));
  const mix = plain(namesOf(song).filter((name) => name !== "mixture"));
  for (const [name, strip] of Object.entries(change)) Object.assign(mix.strips[name], strip);
  const told = [];
  const blob = await mixdown(song, pieces, mix, { onProgress: (done) => told.push(done) });
  return { bytes: base64(new Uint8Array(await blob.arrayBuffer())), told, held: pieces.bytes };
}

/** What a node gives, recorded until stopped: the highest sample, and how much was not silent. */
async function recorder(context, source) {
  const node = new AudioWorkletNode(context, "recorder", { numberOfInputs: 1, numberOfOutputs: 0 });
  const heard = { peak: 0, frames: 0, sounding: 0 };
  node.port.onmessage = ({ data: channels }) => {
    const peak = loudest(channels);
    heard.peak = Math.max(heard.peak, peak);
    heard.frames += channels[0].length;
    if (peak > 0.01) heard.sounding += channels[0].length;
  };
  source.connect(node);
  return heard;
}

/** Begin to render a mix that exceeds full scale, up to the start of its second rendering. */
export async function beginLoudMix(assets, windows, frames) {
  const { mixdown, plain } = await modules(assets);
  const buffer = new AudioBuffer({ length: frames, numberOfChannels: 2, sampleRate: 44100 });
  for (const channel of [0, 1]) buffer.getChannelData(channel).fill(0.8);
  const song = {
    sampleRate: 44100,
    frames: windows * frames,
    pieceFrames: frames,
    tracks: [{ name: "vocals" }, { name: "bass" }],
  };
  const mixing = { isSecondTime: false };
  let loaded = 0;
  const pieces = {
    count: windows,
    async load() {
      if (loaded++ === windows) {
        mixing.isSecondTime = true;
        await new Promise((resolve) => (mixing.goOn = resolve));
      }
      return [buffer, buffer];
    },
  };
  mixing.blob = mixdown(song, pieces, plain(["vocals", "bass"]));
  window.mixing = mixing;
}

/**
 * Several players at once on a real clock, each with jumps and loops of its own, and one whose
 * second stem is muted: the control.
 */
export async function liveSync(assets, song, seconds, players) {
  const { Pieces, Graph, Transport, plain } = await modules(assets);
  const rate = song.sampleRate;
  const context = new AudioContext({ sampleRate: rate, latencyHint: "playback" });
  await context.audioWorklet.addModule(`${location.origin}/v1/test/recorder.js`);
  const pieces = new Pieces(song, (bytes) => context.decodeAudioData(bytes));
  for (let number = 0; number < pieces.count; number += 1) await pieces.load(number);
  // One store for all, of which none may say what is wanted.
  const shared = { peek: (number) => pieces.peek(number), want() {}, addEventListener() {} };
  const made = [];
  for (let at = 0; at < players; at += 1) {
    const graph = new Graph(context, namesOf(song));
    const mix = plain(namesOf(song));
    if (at === 0) mix.strips[namesOf(song)[1]].muted = true;
    graph.apply(mix, { glide: false });
    const heard = await recorder(context, graph.output);
    const transport = new Transport(context, graph, shared, song);
    transport.seek((at * 7 * rate) % song.frames);
    made.push({ transport, heard });
  }
  await context.resume();
  for (const { transport } of made) transport.play();
  const ends = performance.now() + seconds * 1000;
  let chance = 1;
  const random = () => (chance = (chance * 16807) % 2147483647) / 2147483647;
  let turns = 0;
  while (performance.now() < ends) {
    await new Promise((resolve) => setTimeout(resolve, 350));
    made.forEach(({ transport }) => {
      turns += 1;
      if (!transport.isPlaying) transport.play(); // it came to the end
      const start = random() * (song.frames - 4 * rate);
      const what = Math.floor(random() * 6);
      if (what === 0) transport.seek(start);
      if (what === 1) transport.loop = { start, end: start + rate * (0.3 + random()) };
      if (what === 2) transport.loop = null;
      if (what === 3) transport.speed = [0.75, 1, 1, 1.25, 2][Math.floor(random() * 5)];
      if (what === 4 && transport.loop) transport.seek(transport.loop.start);
    });
  }
  for (const { transport } of made) transport.pause();
  await context.close();
  const [control, ...others] = made.map(({ heard }) => heard);
  return {
    turns,
    seconds: others.reduce((sum, { frames }) => sum + frames, 0) / rate,
    sum: dB(Math.max(...others.map(({ peak }) => peak))),
    alone: dB(control.peak),
    sounding: control.sounding / control.frames,
  };
}

/** Jump around in a long song, and see what is held of it. */
export async function held(assets, song, jumps) {
  const { Pieces, Graph, Transport, BUDGET } = await modules(assets);
  const context = new AudioContext({ sampleRate: song.sampleRate });
  await context.resume();
  const graph = new Graph(context, namesOf(song));
  graph.output.connect(context.destination);
  const pieces = new Pieces(song, (bytes) => context.decodeAudioData(bytes));
  const transport = new Transport(context, graph, pieces, song);
  transport.speed = 2;
  transport.play();
  let most = 0;
  let loaded = 0;
  pieces.addEventListener("window", () => {
    loaded += 1;
    most = Math.max(most, pieces.bytes);
  });
  for (let jump = 0; jump < jumps; jump += 1) {
    const before = loaded;
    transport.seek((((jump * 7919) % 997) / 997) * song.frames);
    const deadline = performance.now() + 20000;
    while (performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (!transport.isWaiting && loaded >= before + 2) break; // what sounds, and what comes next
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  transport.pause();
  await context.close();
  return { most, loaded, budget: BUDGET, whole: song.frames * 8 * song.tracks.length };
}

/** One track comes late again and again: all wait, and go on together. */
export async function starved(assets, song, seconds) {
  const { Pieces, Graph, Transport } = await modules(assets);
  const rate = song.sampleRate;
  const context = new AudioContext({ sampleRate: rate });
  await context.audioWorklet.addModule(`${location.origin}/v1/test/recorder.js`);
  await context.resume();
  const graph = new Graph(context, namesOf(song));
  const heard = await recorder(context, graph.output);
  const pieces = new Pieces(song, (bytes) => context.decodeAudioData(bytes));
  const transport = new Transport(context, graph, pieces, song);
  let waits = 0;
  let was = false;
  transport.addEventListener("change", () => {
    if (transport.isWaiting && !was) waits += 1;
    was = transport.isWaiting;
  });
  transport.speed = 2;
  transport.play();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const reached = transport.position / rate;
  transport.pause();
  await context.close();
  return { waits, reached, sum: dB(heard.peak), seconds: heard.frames / rate };
}


function packed(channel) {
  return base64(new Uint8Array(channel.buffer, channel.byteOffset, channel.byteLength));
}

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) {
    text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  }
  return btoa(text);
}
