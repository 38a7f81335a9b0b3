// A whole repo by @huggingface/hub's snapshotDownload. Prints one JSON object.
// usage: node snapshot.mjs REPO   with the packages in the folder NODE_FOLDER
import { createHash } from "node:crypto";
import { readFile, readdir, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, join, relative } from "node:path";

const require = createRequire(join(process.env.NODE_FOLDER, "package.json"));
const { snapshotDownload } = require("@huggingface/hub");

const folder = await snapshotDownload({
  repo: process.argv[2],
  hubUrl: process.env.HF_ENDPOINT,
  cacheDir: process.env.HF_HUB_CACHE,
});
const files = {};
for (const name of await readdir(folder, { recursive: true })) {
  const path = join(folder, name);
  if ((await stat(path)).isFile()) {
    files[relative(folder, path)] = createHash("sha256").update(await readFile(path)).digest("hex");
  }
}
console.log(JSON.stringify({ commit: basename(folder), files }));
