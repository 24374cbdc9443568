"""Runs what tensorflowjs_converter wrote, in Node.js."""

import json
import os
import subprocess
import sys
from importlib import metadata

import job
import numpy as np

task, images = job.read()
batches = []
for index, batch in enumerate(images.values()):
    file, output = job.path(f"{index}.in"), job.path(f"{index}.out")
    batch.astype(np.float32).tofile(file)
    batches.append({"shape": batch.shape, "file": file, "output": output})
with open(job.path("batches.json"), "w") as file:
    json.dump({"batches": batches}, file)
script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tensorflowjs_predict.js")
done = subprocess.run(
    [
        os.path.join(sys.prefix, "bin", "node"),
        script,
        task["file"],
        task["backend"],
        job.path("batches.json"),
    ],
    env={**os.environ, "NODE_PATH": os.path.join(sys.prefix, "node_modules")},
    stdout=subprocess.PIPE,
    check=True,
)
answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
assert {answer["backend"] for answer in answers} == {task["backend"]}
arrays = {
    name: np.fromfile(batch["output"], np.float32).reshape(answer["shape"])
    for name, batch, answer in zip(images, batches, answers)
}
with open(os.path.join(task["file"], "model.json")) as file:
    signature = json.load(file)["signature"]
job.write(
    arrays,
    version=f"TensorFlow.js {metadata.version('tensorflowjs')}",
    outputs=sorted(signature["outputs"]),
)
