"""Serves modules as TF Hub did: to `hub.load`, `hub.KerasLayer` and `hub.Module`, and to browsers.

Usage: python -m slimhub.export.hub [--root=build/modules] [--host=127.0.0.1] [--port=8000]

Nothing below the root is changed. Archives are kept in a temporary directory (TMPDIR chooses where)
as long as the server runs, pictures in the cache (XDG_CACHE_HOME).

Exits with 2 for usage, or if the port can't be had, 5 without a temporary directory, 130 or 143 when
it is stopped by SIGINT or SIGTERM.
"""

from pathlib import Path

from absl import flags

from slimhub.signatures import command_line

_ROOT = flags.DEFINE_string("root", "build/modules", "Root directory of modules.")
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen at; 0.0.0.0 is every one.")
_PORT = flags.DEFINE_integer(
    "port", 8000, "To listen at; 0 for any.", lower_bound=0, upper_bound=65535
)
_STALL = flags.DEFINE_integer(
    "stall", 60, "Seconds until a client that takes no more is given up.", lower_bound=1
)


def main(arguments: list[str]) -> int:
    if arguments:
        command_line.complain(f"Arguments that no flag takes: {' '.join(arguments)}")
        return command_line.USAGE
    root = Path(_ROOT.value)
    if not root.is_dir():
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
    try:
        serving.serve(root, listener)
    except OSError as error:
        command_line.complain(f"There is no temporary directory (TMPDIR chooses one): {error}")
        return command_line.UNWRITABLE
    return 0


def run() -> None:
    command_line.run(main)


if __name__ == "__main__":
    run()
