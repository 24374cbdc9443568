"""Small versions to publish, and interruptions of publishing."""

from pathlib import Path

from slimhub.export.publishing import publish
from slimhub.signatures.module import module_archive

FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"index", "assets.extra/a": b""}


class Interruption(BaseException):
    """An exception in place of `KeyboardInterrupt`, which would end pytest."""


def write(directory: Path, files=FILES) -> None:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)


def read(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def put(target: Path, *, overwrite=False, files=FILES, meanwhile=lambda staging: None) -> None:
    """Publish a version; `meanwhile` is called with the staging directory when all files are in it."""
    with publish.staging(target, overwrite=overwrite) as staging:
        write(staging, files)
        meanwhile(staging)
        publish.publish(staging, target, overwrite=overwrite)


def archived(content: bytes):
    """Return a function for `meanwhile` of `put` that writes an archive with this content."""

    def meanwhile(staging: Path):
        module_archive.path_of(staging).write_bytes(content)

    return meanwhile


def fail(error):
    def meanwhile(staging: Path):
        raise error

    return meanwhile
