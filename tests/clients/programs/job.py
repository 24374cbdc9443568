"""A program's task and its answer: files of the directory that is its argument."""

import json
import os
import sys

import numpy as np

# Names that programs import consumers by, and people's names for these.
_CONSUMERS = {"hub": "tensorflow-hub", "keras": "Keras", "tf": "TensorFlow", "tf_keras": "tf-keras"}


def read():
    """Return the task, a dictionary, and the images, arrays by name."""
    with open(path("job.json")) as file:
        job = json.load(file)
    with np.load(path("images.npz")) as images:
        return job, dict(images)


def write(arrays, **facts):
    """Answer with arrays by name, and with facts as JSON; `version` is that of what the program imports."""
    program = vars(sys.modules["__main__"])
    imported = [name for name in _CONSUMERS if name in program]
    versions = [_CONSUMERS[name] + " " + program[name].__version__ for name in imported]
    np.savez(path("result.npz"), **arrays)
    with open(path("result.json"), "w") as file:
        json.dump(dict({"version": ", ".join(versions)}, **facts), file)


def path(name):
    """Return a path in the directory, for whatever else the program writes."""
    return os.path.join(sys.argv[1], name)
