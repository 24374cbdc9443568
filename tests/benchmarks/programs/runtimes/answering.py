"""Answer requests on standard input, one a line, so that several programs can take turns."""

import json
import os
import sys
import time

# Whatever a library prints must not come between the answers.
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(**functions):
    """Answer `[name, {argument: value}]` with what the function gives, both as JSON, to the end of input."""
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(functions[name](**arguments)), file=_answers, flush=True)


def timed(call, calls):
    """Call a function again and again; return the seconds of each call but the first.

    The first one wakes up threads, and fills caches with what is this program's.
    """
    call()
    seconds = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return seconds
