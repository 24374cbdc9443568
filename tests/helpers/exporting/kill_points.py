"""Publish a small version again and again, and send a signal each time at the next file-system event.

Usage: python kill_points.py SIGNAL {fresh,overwrite,left} ARCHIVES DIRECTORY

ARCHIVES says which versions have an archive: `old`, `new`, both with a comma, or `none`.

Each run is a fork, so nothing with threads is imported. Prints a line of JSON for each run: the event,
the exit code of the run (minus the signal that killed it), the directory's content then, its content
after one more run that fails, and after one that publishes.
"""

import contextlib
import itertools
import json
import os
import signal
import sys
from pathlib import Path

from publishing import Interruption, archived, fail, put, read, write

from slimhub.support import temporary

_EVENTS = ("open", "os.", "shutil.", "fcntl.")
VERSION = "google/imagenet/inception_v1/classification/3"
OLD, NEW, NEXT = (
    {"saved_model.pb": word, "variables/v": word} for word in (b"old", b"new", b"next")
)
ARCHIVE = f"{VERSION}.tar.gz"


def publish_new(root: Path, files, *, overwrite: bool, archive: bool) -> None:
    """Publish a version by way of a temporary and a staging directory, as an export does."""
    meanwhile = archived(files["saved_model.pb"]) if archive else lambda staging: None
    os.environ["TMPDIR"] = str(root / "tmp")
    with temporary.temporary() as unpacked:
        write(unpacked, {"inception_v1.ckpt": b"weights"})
        target = root / "modules" / VERSION
        put(target, files=files, overwrite=overwrite, meanwhile=meanwhile)


def tree(root: Path) -> dict[str, str]:
    """Return the contents of all files by relative path, and empty directories, which end with a slash."""
    contents = {name: content.decode() for name, content in read(root).items()}
    empty = [path for path in root.rglob("*") if path.is_dir() and not any(path.iterdir())]
    return contents | {f"{path.relative_to(root)}/": "" for path in empty}


def run(root: Path, number: int, at: int, *, overwrite: bool, archive: bool) -> tuple[int, str]:
    """Publish in a fork, and send it the signal before event number `at`; return its exit code and the event."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        with os.fdopen(reader) as name:
            event = name.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), event

    events = itertools.count()

    def hook(event: str, arguments) -> None:
        if event.startswith(_EVENTS) and next(events) == at:
            os.write(writer, event.encode())
            os.kill(os.getpid(), number)

    code = 0
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda stop, frame: sys.exit(128 + stop))
    sys.addaudithook(hook)
    try:
        publish_new(root, NEW, overwrite=overwrite, archive=archive)
    except SystemExit as error:
        code = error.code
    finally:
        os._exit(code)


def prepare(root: Path, existing: str, *, archive: bool) -> None:
    """Create nothing, a version to overwrite, or leftovers of killed runs with that version moved aside."""
    if archive:
        write(root / "modules", {ARCHIVE: b"old"})
    (root / "tmp").mkdir(parents=True)
    target = root / "modules" / VERSION
    if existing == "overwrite":
        write(target, OLD)
    if existing == "left":
        write(target.with_name(".3.old-01234567"), OLD)
        write(target.with_name(".3.staging-01234567"), {"saved_model.pb": b"half"})
        write(root / "tmp" / ".slimhub-scratch-01234567", {"inception_v1.ckpt": b"half"})


def main(number: str, existing: str, archives: str, directory: str) -> None:
    for at in itertools.count():
        root = Path(directory) / str(at)
        prepare(root, existing, archive="old" in archives)
        how = {"overwrite": existing != "fresh", "archive": "new" in archives}
        code, event = run(root, int(number), at, **how)
        if not event:
            break
        point = {"event": event, "code": code, "left": tree(root)}
        with contextlib.suppress(Interruption):
            put(root / "modules" / VERSION, overwrite=True, meanwhile=fail(Interruption()))
        point["failed"] = tree(root)
        publish_new(root, NEXT, overwrite=True, archive="new" in archives)
        print(json.dumps(point | {"next": tree(root)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
