"""What is published in tests, and what goes wrong meanwhile."""

from pathlib import Path

from slimhub.export import module_archive, publish

FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"index", "assets.extra/a": b""}


class Interruption(BaseException):
    """Like `KeyboardInterrupt`, which would end pytest."""


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
    """Publishes a version; `meanwhile` is called with the staging directory, all files in it."""
    with publish.staging(target, overwrite=overwrite) as staging:
        write(staging, files)
        meanwhile(staging)


def archived(content: bytes):
    """Has a version published with an archive, one that only says of which version it is."""

    def meanwhile(staging: Path):
        module_archive.path_of(staging).write_bytes(content)

    return meanwhile


def fail(error):
    def meanwhile(staging: Path):
        raise error

    return meanwhile
