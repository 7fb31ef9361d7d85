// The thread of a BlockShifter. The library's code is made for an AudioWorklet. This provides the few
// parts of one that it uses, and calls its processor with one block after the other.

const BLOCK = 1024; // frames, less than the library's buffers hold
const CHANNELS = 2;

let shifter = null;

self.onmessage = async ({ data }) => {
  if (shifter) {
    const shifted = data.map(({ length }) => new Float32Array(length));
    for (let at = 0; at < data[0].length; at += BLOCK) {
      const block = (channel) => channel.subarray(at, at + BLOCK);
      shifter.process([data.map(block)], [shifted.map(block)]);
    }
    self.postMessage(
      shifted,
      shifted.map(({ buffer }) => buffer),
    );
  } else {
    shifter = await start(data);
    const seconds = await shifter.ask("latency");
    self.postMessage({ latency: Math.round(seconds * data.sampleRate) });
  }
};

// An error in a promise does not reach the page by itself.
self.addEventListener("unhandledrejection", ({ reason }) => {
  setTimeout(() => {
    throw reason;
  });
});

/** @param {{library: string, sampleRate: number, semitones: number}} settings */
async function start({ library, sampleRate, semitones }) {
  let Processor;
  const port = { onmessage: null, postMessage: null };
  Object.assign(self, {
    sampleRate,
    currentTime: 0,
    AudioWorkletProcessor: class {
      port = port;
    },
    registerProcessor: (_name, found) => (Processor = found),
  });
  await import(library);
  const answers = new Map();
  const ready = new Promise((resolve) => answers.set("ready", resolve));
  port.postMessage = ([id, value]) => answers.get(id)?.(value);
  const processor = new Processor({ numberOfOutputs: 1, outputChannelCount: [CHANNELS] });
  await ready;
  const ask = (method, ...values) =>
    new Promise((resolve) => {
      answers.set(method, resolve);
      port.onmessage({ data: [method, method, ...values] });
    });
  await ask("schedule", { active: true, semitones });
  return { ask, process: (inputs, outputs) => processor.process(inputs, outputs, {}) };
}
