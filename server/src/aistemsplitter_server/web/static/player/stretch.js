// Speed without a change of pitch: what plays faster sounds higher, and is shifted back down.

/**
 * A node that shifts the pitch of what runs through it, or null where browsers have none for us:
 * they keep AudioWorklet to pages that came by https, or from the machine itself.
 * @param {AudioContext} context
 * @param {string} library where signalsmith-stretch is
 */
export async function pitchShifter(context, library) {
  if (!context.audioWorklet) return null;
  const { default: SignalsmithStretch } = await import(library);
  SignalsmithStretch.moduleUrl = library; // otherwise it makes one of a blob:, which is not allowed
  const node = await SignalsmithStretch(context);
  const latency = await node.latency();
  return {
    node,
    /** Seconds from what goes in to what comes out. */
    latency,
    /** Undo what a speed does to the pitch. */
    compensate(speed) {
      node.schedule({ active: true, semitones: -12 * Math.log2(speed) });
    },
  };
}
