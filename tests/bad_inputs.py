"""Some hundred bad inputs, the same every time.

    python tests/bad_inputs.py DIR

writes each into a directory of its own below DIR, with the flags beside it.
"""

import shlex
import sys
import tempfile
from pathlib import Path

import bad_archives
import bad_checkpoints
import bad_flags
import bad_prefixes
from inputs import Bad, make_good


def corpus() -> tuple[Bad, ...]:
    """Inputs that must be refused."""
    kinds = (bad_archives, bad_checkpoints, bad_prefixes, bad_flags)
    return tuple(bad for kind in kinds for bad in kind.corpus())


def flips() -> tuple[Bad, ...]:
    """Inputs with one bit changed, that must be refused if the bit is read."""
    kinds = (bad_archives, bad_checkpoints, bad_prefixes)
    return tuple(bad for kind in kinds for bad in kind.flips())


def main(directory: Path) -> None:
    with tempfile.TemporaryDirectory() as workdir:
        good = make_good(Path(workdir))
    for bad in (*corpus(), *flips()):
        (directory / bad.id).mkdir(parents=True)
        bad.make(good, directory / bad.id)
        flags = shlex.join(bad.flags)
        (directory / f"{bad.id}.txt").write_text(
            f"flags: {flags}\nexit code: {bad.code}\nmessage: ...{bad.says}...\n",
            errors="backslashreplace",
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
