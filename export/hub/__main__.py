"""Serves modules as TF Hub did: to `hub.load`, `hub.KerasLayer` and `hub.Module`, and to browsers.

Usage: python -m slimhub.export.hub [--root=build/modules] [--host=127.0.0.1] [--port=8000]

Nothing below the root is changed. Archives are kept in a temporary directory (TMPDIR chooses where)
as long as the server runs, pictures in the cache (XDG_CACHE_HOME).

Exits with 2 for usage, or if the port can't be had, 5 without a temporary directory, 130 or 143 when
it is stopped by SIGINT or SIGTERM.
"""

import contextlib
import os
from pathlib import Path

from absl import flags

from slimhub.signatures import command_line, scratch

_ROOT = flags.DEFINE_string("root", "build/modules", "Root directory of modules.")
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen at; 0.0.0.0 is every one.")
_PORT = flags.DEFINE_integer(
    "port", 8000, "To listen at; 0 for any.", lower_bound=0, upper_bound=65535
)
_URL = flags.DEFINE_string(
    "url", None, "Of the server, on its pages, if it is not the one by which it is reached."
)
_STALL = flags.DEFINE_integer(
    "stall", 60, "Seconds until a client that sends or takes no more is given up.", lower_bound=1
)


def main(arguments: list[str]) -> int:
    if arguments:
        command_line.complain(f"Arguments that no flag takes: {' '.join(arguments)}")
        return command_line.USAGE
    root = Path(_ROOT.value)
    # Unlike `Path.is_dir`, it takes any name.
    if not os.path.isdir(root):
        command_line.complain(
            f"--root={root}: expected a directory of modules; make export VERSION=3 makes one."
        )
        return command_line.USAGE
    try:
        from slimhub.export.hub import serving
    except ModuleNotFoundError as error:
        command_line.complain(f"{error}: pip install 'slimhub[serve]' installs what it needs.")
        return command_line.USAGE
    try:
        listener = serving.listen(_HOST.value, _PORT.value, stall=_STALL.value)
    except OSError as error:
        command_line.complain(f"--host={_HOST.value} --port={_PORT.value}: {error}")
        return command_line.USAGE
    with contextlib.ExitStack() as stack:
        try:
            directory = stack.enter_context(scratch.temporary())
        except OSError as error:
            command_line.complain(f"There is no temporary directory (TMPDIR chooses one): {error}")
            return command_line.UNWRITABLE
        url = _URL.value and _URL.value.rstrip("/")
        serving.serve(root, listener, directory=directory, stall=_STALL.value, url=url)
    return 0


def run() -> None:
    command_line.run(main)


if __name__ == "__main__":
    run()
