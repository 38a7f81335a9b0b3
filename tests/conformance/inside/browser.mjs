// What @huggingface/transformers loads from HF_ENDPOINT. Prints one JSON object.
// usage: node browser.mjs REPO SENTENCE MISSING   with the packages in the folder NODE_FOLDER
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_FOLDER, "package.json"));
const { AutoConfig, AutoTokenizer, env, pipeline } = require("@huggingface/transformers");

env.remoteHost = `${process.env.HF_ENDPOINT}/`;
env.cacheDir = process.env.HF_HUB_CACHE; // the default is beside the library
const [repo, sentence, missing] = process.argv.slice(2);

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error.message;
  }
  return "";
}

const config = await AutoConfig.from_pretrained(repo);
const tokenizer = await AutoTokenizer.from_pretrained(repo);
const extract = await pipeline("feature-extraction", repo, { dtype: "fp32" });
const vectors = await extract(sentence);

const answer = {
  version: env.version,
  node: process.version,
  kind: config.model_type,
  ids: Array.from(tokenizer(sentence).input_ids.data, Number),
  dims: vectors.dims,
  first: Array.from(vectors.data.slice(0, vectors.dims[2])),
  missing: await failure(AutoConfig.from_pretrained(missing)),
};
console.log(JSON.stringify(answer));
