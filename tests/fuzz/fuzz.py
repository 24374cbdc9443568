"""Look for inputs that break the reading of archives and of provenance.

Usage: python tests/fuzz/fuzz.py [SECONDS], or python tests/fuzz/fuzz.py FILE to try a finding again.

Exits with 1 if something was found; it is in
`tests/fuzz/findings/<target>/` then, where `test_findings.py` tries it again each time.
"""

import hashlib
import logging
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
_MOST_MEMORY = 4 << 30
# That any one example may take.
_MOST_SECONDS = 60


def fuzz(name: str, strategy, *, seconds: float) -> bool:
    """Try examples for a time, or until one breaks the target; return whether one does."""
    running = FINDINGS / name / "running"
    running.parent.mkdir(parents=True, exist_ok=True)

    @hypothesis.settings(
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def run(data: bytes) -> None:
        # It stays there if the process is ended, by the alarm for one.
        running.write_bytes(data)
        signal.alarm(_MOST_SECONDS)
        TARGETS[name](data)

    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            run()
    except Exception as error:
        # The last that is tried is the smallest that fails.
        digest = hashlib.sha256(running.read_bytes()).hexdigest()
        path = running.rename(running.with_name(digest[:12]))
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        print(f"Again: {sys.executable} {__file__} {path}", file=sys.stderr)
        return True
    finally:
        signal.alarm(0)
        running.unlink(missing_ok=True)
    return False


def main(arguments: list[str]) -> int:
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # What would need more has found a hole.
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    if arguments and Path(arguments[0]).is_file():
        path = Path(arguments[0])
        TARGETS[path.parent.name](path.read_bytes())
        return 0
    seconds = int(arguments[0]) if arguments else 60
    with tempfile.TemporaryDirectory() as directory:
        strategies = inputs(export_stem(Path(directory)))
    share = seconds / len(strategies)
    return int(any([fuzz(name, each, seconds=share) for name, each in strategies.items()]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
