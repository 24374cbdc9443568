"""What a program is to do, and what it answers: files of the directory that is its argument."""

import json
import os
import sys

import numpy as np


def read():
    """Gives the job, a dictionary, and the images, arrays by name."""
    with open(path("job.json")) as file:
        job = json.load(file)
    with np.load(path("images.npz")) as images:
        return job, dict(images)


def write(arrays, **facts):
    """Answers with arrays by name, and with facts that JSON can tell; `version` is that of the consumer."""
    np.savez(path("result.npz"), **arrays)
    with open(path("result.json"), "w") as file:
        json.dump(facts, file)


def path(name):
    """A path in the directory, for whatever else the program writes."""
    return os.path.join(sys.argv[1], name)
