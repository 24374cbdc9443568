// Runs what tensorflowjs_converter wrote, on batches of images in files.
//
// Usage: node tensorflowjs_predict.js DIRECTORY BACKEND JOB
//
// JOB is a JSON file with {"batches": [{"shape": [...], "file": ..., "output": ...}]}: float32 images
// in `file`, and where the only output goes.

const fs = require("fs");
const path = require("path");
const tf = require("@tensorflow/tfjs-core");
const {loadGraphModel} = require("@tensorflow/tfjs-converter");

const [directory, backend, jobFile] = process.argv.slice(2);
require(`@tensorflow/tfjs-backend-${backend}`);

// tfjs itself reads from URLs.
function load() {
  const model = JSON.parse(fs.readFileSync(path.join(directory, "model.json")));
  const groups = model.weightsManifest;
  const shards = groups.flatMap((group) => group.paths);
  const weights = Buffer.concat(shards.map((name) => fs.readFileSync(path.join(directory, name))));
  return {
    ...model,
    weightSpecs: groups.flatMap((group) => group.weights),
    weightData: new Uint8Array(weights).buffer,
  };
}

async function main() {
  await tf.setBackend(backend);
  const model = await loadGraphModel({load});
  const job = JSON.parse(fs.readFileSync(jobFile));
  for (const {shape, file, output} of job.batches) {
    const images = tf.tensor(new Float32Array(new Uint8Array(fs.readFileSync(file)).buffer), shape);
    const result = model.predict(images);
    fs.writeFileSync(output, new Uint8Array((await result.data()).buffer));
    console.log(JSON.stringify({shape: result.shape, backend: tf.getBackend()}));
    tf.dispose([images, result]);
  }
}

main();
