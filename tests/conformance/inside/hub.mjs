// What @huggingface/hub gets from HF_ENDPOINT. Prints one JSON object.
// usage: node hub.mjs WISHES   where WISHES is a JSON object; the packages are in the folder NODE_FOLDER
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_FOLDER, "package.json"));
const hub = require("@huggingface/hub");
const { version } = JSON.parse(await readFile(join(process.env.NODE_FOLDER, "node_modules/@huggingface/hub/package.json")));

const hubUrl = process.env.HF_ENDPOINT;
const wishes = JSON.parse(process.argv[2]);
const { repo, revision } = wishes;

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

async function downloaded(path) {
  const blob = await hub.downloadFile({ repo, path, revision, hubUrl });
  return blob === null ? null : digest(Buffer.from(await blob.arrayBuffer()));
}

async function piece(path, [start, stop]) {
  const blob = await hub.downloadFile({ repo, path, revision, hubUrl });
  return digest(Buffer.from(await blob.slice(start, stop).arrayBuffer()));
}

async function all(generator, name) {
  const found = [];
  for await (const one of generator) found.push(name(one));
  return found;
}

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return { status: error.statusCode ?? null, says: error.message };
  }
  return null;
}

const files = {};
for (const path of wishes.paths) files[path] = await downloaded(path);
const info = await hub.modelInfo({ name: repo, hubUrl, additionalFields: ["sha", "filePaths"] });
const size = ({ path, type, size }) => (type === "file" ? [path, size] : null);

const answer = {
  version,
  node: process.version,
  files,
  pieces: await Promise.all(wishes.spans.map((span) => piece(wishes.large, span))),
  absent: await downloaded("no.txt"),
  exists: [
    await hub.fileExists({ repo, path: wishes.paths[0], revision, hubUrl }),
    await hub.fileExists({ repo, path: "no.txt", revision, hubUrl }),
    await hub.repoExists({ repo, hubUrl }),
  ],
  info: { id: info.name, sha: info.sha, files: info.filePaths },
  listed: Object.fromEntries((await all(hub.listFiles({ repo, revision, recursive: true, hubUrl }), size)).filter(Boolean)),
  some: (await hub.pathsInfo({ repo, revision, paths: [wishes.large, "no.txt"], hubUrl })).map((one) => [one.path, one.lfs?.oid]),
  commits: await all(hub.listCommits({ repo, revision, hubUrl }), (one) => one.oid),
  models: await all(hub.listModels({ search: { query: wishes.query }, hubUrl }), (one) => one.name),
  missing: await failure(hub.modelInfo({ name: wishes.missing, hubUrl })),
};
console.log(JSON.stringify(answer));
