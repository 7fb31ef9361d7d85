// Everything that the published Node client does.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [baseUrl, apiKey, song, songUrl] = process.argv.slice(2);
const found = createRequire(`${process.cwd()}/`).resolve("@aistemsplitter/sdk");
const { AIStemSplitter } = await import(pathToFileURL(found));
const client = new AIStemSplitter({ apiKey, baseUrl });

const refused = (call, code, status) =>
  assert.rejects(call, (error) => {
    assert.deepEqual([error.code, error.status], [code, status]);
    return true;
  });

assert.deepEqual(await client.getCredits(), { balance: 3600, unit: "seconds" });

const data = new Uint8Array(await readFile(song));
const uploaded = await client.uploadAudio({
  filename: "song.flac",
  contentType: "audio/flac",
  data,
});
const request = { input: uploaded.input, stemModel: "htdemucs_ft", metadata: { order: "7" } };
const job = await client.createSplit(request, { idempotencyKey: "order-7" });
assert.equal(job.status, "queued");
assert.equal(job.creditsUsed, 20);
assert.equal((await client.createSplit(request, { idempotencyKey: "order-7" })).id, job.id);
const waiting = { timeoutMs: 120000, intervalMs: 200 };
const split = await client.waitForSplit(job.id, waiting);
assert.equal(split.status, "succeeded");
assert.deepEqual(Object.keys(split.stems).sort(), ["bass", "drums", "other", "vocals"]);
for (const url of Object.values(split.stems)) {
  const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
  assert.equal(bytes.subarray(0, 4).toString(), "RIFF");
}

const direct = await client.createSplit({
  input: { type: "direct_url", url: songUrl },
  stemModel: "4s",
  outputFormat: "mp3",
});
const second = await client.waitForSplit(direct.id, waiting);
assert.deepEqual([second.status, second.stemModel, second.creditsUsed], ["succeeded", "4s", 20]);

assert.equal((await client.getCredits()).balance, 3560);
await refused(() => client.getSplit("split_unknown"), "NOT_FOUND", 404);
await refused(() => client.createSplit({ input: { type: "x" } }), "VALIDATION_ERROR", 422);
const stranger = new AIStemSplitter({ apiKey: "ast_live_x", baseUrl });
await refused(() => stranger.getCredits(), "UNAUTHORIZED", 401);
console.log("done");
