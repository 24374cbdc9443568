"""Answers requests on standard input, one a line, so that several programs can take turns.

Written for the interpreters of all environments.
"""

import json
import os
import sys
import time

# Small: what is compared is the first steps' losses, of weights that are untrained.
LEARNING_RATE = 1e-3

# Whatever a library prints must not come between the answers.
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(**functions):
    """Answers `[name, {argument: value}]` with what the function gives, both as JSON, to the end of input."""
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(functions[name](**arguments)), file=_answers, flush=True)


def timed(call, calls):
    """Calls a function again and again; gives the seconds of each call but the first.

    The first one wakes up threads, and fills caches with what is this program's.
    """
    call()
    seconds = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return seconds


def infer(apply_by_batch, images, logits, version):
    """Answers for a network that gives the logits of images, both NumPy arrays.

    Args:
      apply_by_batch: functions by batch size.
      images: as many as the largest batch size.
      logits: path of the file that takes the logits of all of them.
      version: of what runs it, in words.
    """
    import numpy as np

    def check():
        np.save(logits, np.asarray(apply_by_batch[len(images)](images)))
        return version

    def run(batch, calls):
        some = images[:batch]
        return timed(lambda: apply_by_batch[batch](some), calls)

    answer(check=check, run=run)


def train(step):
    """Answers for a training step, which gives its loss."""

    def run(calls):
        losses = []
        seconds = timed(lambda: losses.append(step()), calls)
        return {"losses": losses, "seconds": seconds}

    answer(run=run)
