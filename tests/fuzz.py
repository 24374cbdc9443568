"""Looks for inputs that break the reading of archives, of provenance and of modules.

Usage: python tests/fuzz.py [SECONDS] [SEED], or python tests/fuzz.py FILE to try a finding again.

Nothing of a module is loaded or run. Exits with 1 if something was found; it is in
`tests/findings/<target>/` then, where `test_findings.py` tries it again each time.
"""

import hashlib
import logging
import random
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import hypothesis
import quietly  # noqa: F401
from fuzz_inputs import inputs
from fuzz_targets import TARGETS
from stem import export_stem

FINDINGS = Path(__file__).parent / "findings"
# Examples after which the next target has its turn.
_BATCH = 50
_MOST_MEMORY = 4 << 30
# That any one example may take.
_MOST_SECONDS = 60


def fuzz(modules: Path, *, seconds: float, seed: int) -> list[Path]:
    """Runs all targets in turn until the time is over, each until something is found."""
    deadline, found = time.monotonic() + seconds, []
    examples = dict.fromkeys(TARGETS, 0)
    waiting, strategies = list(TARGETS), inputs(modules)
    while waiting and time.monotonic() < deadline:
        name = waiting.pop(0)
        finding, number = _batch(name, strategies[name], modules, seed=seed)
        examples[name] += number
        seed += 1
        if finding is None:
            waiting.append(name)
        else:
            found.append(finding)
    print(", ".join(f"{number} {name}" for name, number in examples.items()))
    return found


def _batch(name: str, strategy, modules: Path, *, seed: int) -> tuple[Path | None, int]:
    """Tries some examples; what was found, as small as it could be made, and how many they were."""
    tried, running = [], FINDINGS / name / "running"
    running.parent.mkdir(parents=True, exist_ok=True)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=_BATCH,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def run(data: bytes) -> None:
        tried.append(data)
        # It stays there if the process is ended, by the alarm for one.
        running.write_bytes(data)
        signal.alarm(_MOST_SECONDS)
        TARGETS[name](data, modules)

    try:
        run()
    except Exception as error:
        # The last that is tried is the smallest that fails.
        path = running.with_name(hashlib.sha256(tried[-1]).hexdigest()[:12])
        path.write_bytes(tried[-1])
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        print(f"Again: {sys.executable} {__file__} {path}", file=sys.stderr)
        return path, len(tried)
    finally:
        signal.alarm(0)
        running.unlink(missing_ok=True)
    return None, len(tried)


def main(arguments: list[str]) -> int:
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # What would need more has found a hole.
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    with tempfile.TemporaryDirectory() as directory:
        modules = export_stem(Path(directory))
        if arguments and Path(arguments[0]).is_file():
            path = Path(arguments[0])
            TARGETS[path.parent.name](path.read_bytes(), modules)
            return 0
        seconds, seed, *_ = [*map(int, arguments), *[60, random.randrange(2**32)][len(arguments) :]]
        print(f"{seconds} seconds with the seed {seed}", flush=True)
        return 1 if fuzz(modules, seconds=seconds, seed=seed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
