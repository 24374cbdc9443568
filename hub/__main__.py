"""Serve modules as TF Hub did: to `hub.load`, `hub.KerasLayer`, `hub.Module`, and browsers.

Usage: python -m slimhub.hub [flags]

Nothing below the root is changed. While the server runs, archives are kept in a temporary directory
(TMPDIR chooses where). Pictures are kept in the cache (XDG_CACHE_HOME), or with the archives if
there is no home directory.

Exit codes: 2 usage or the port can't be had, 5 there is no temporary directory, 130 and 143 stopped
by SIGINT and SIGTERM.

Example: python -m slimhub.hub --root=build/modules --host=0.0.0.0
"""

import contextlib
import os
from pathlib import Path

from absl import flags

from slimhub.support import temporary, terminal

_ROOT = flags.DEFINE(
    terminal.PathParser(), "root", "build/modules", "Directory to serve modules from."
)
_HOST = flags.DEFINE_string(
    "host", "127.0.0.1", "Address to listen on. 0.0.0.0 is every address of the machine."
)
_PORT = flags.DEFINE_integer(
    "port", 8000, "Port to listen on. 0 is any free one.", lower_bound=0, upper_bound=65535
)
_URL = flags.DEFINE_string(
    "url", None, "URL of the server on its pages. If left out, it is the one that was requested."
)
_STALL = flags.DEFINE_integer(
    "stall", 60, "Seconds after which a connection without progress is closed.", lower_bound=1
)


def main(arguments: list[str]) -> int:
    if arguments:
        terminal.complain(f"Arguments that no flag takes: {' '.join(arguments)}")
        return terminal.USAGE
    root = Path(_ROOT.value)
    # Unlike `Path.is_dir`, it takes any name.
    if not os.path.isdir(root):
        terminal.complain(
            f"--root={root}: expected a directory of modules; make export VERSION=3 makes one."
        )
        return terminal.USAGE
    try:
        from slimhub.hub import serving
    except ModuleNotFoundError as error:
        terminal.complain(f"{error}: pip install 'slimhub[serve]' installs what it needs.")
        return terminal.USAGE
    try:
        listener = serving.listen(_HOST.value, _PORT.value, stall=_STALL.value)
    except OSError as error:
        terminal.complain(f"--host={_HOST.value} --port={_PORT.value}: {error}")
        return terminal.USAGE
    with contextlib.ExitStack() as stack:
        try:
            directory = stack.enter_context(temporary.temporary())
        except OSError as error:
            terminal.complain(f"There is no temporary directory (TMPDIR chooses one): {error}")
            return terminal.UNWRITABLE
        url = _URL.value and _URL.value.rstrip("/")
        serving.serve(root, listener, directory=directory, stall=_STALL.value, url=url)
    return 0


def run() -> None:
    terminal.run(main)


if __name__ == "__main__":
    run()
