"""Render the preview of a module into an empty directory.

Usage: python -m slimhub.hub.previews MODULE DIRECTORY

DIRECTORY gets pictures (PNG), and preview.json, which says what they show. The module may be
anything: it is run in a process of its own, after the checks of its graphs have passed.

Exit codes: 0 done, 1 the module can't be run, 2 usage, 5 DIRECTORY can't be written.

Example: python -m slimhub.hub.previews build/modules/google/imagenet/vgg_16/feature_vector/3 out
"""

import os
from pathlib import Path

from slimhub.signatures.module.directory import UnreadableError
from slimhub.support import terminal
from slimhub.support.printable import printable

# Seconds; on one core, a module of Inception V2 takes ten.
_TIMEOUT = 120


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        terminal.complain("Expected two arguments: MODULE DIRECTORY")
        return terminal.USAGE
    module, directory = map(Path, arguments)
    # Sums, and so the pictures, must not depend on the number of cores; the others stay free.
    os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
    try:
        with terminal.quiet_imports():
            from slimhub.hub.previews import render
            from slimhub.signatures.isolation import isolated
        if os.listdir(directory):
            raise OSError("it is not empty")
        for name, content in isolated.run(render.render, module, timeout=_TIMEOUT).items():
            (directory / name).write_bytes(content)
    except ModuleNotFoundError as error:
        terminal.complain(f"{error}: pip install 'slimhub[serve]' installs what it needs.")
        return terminal.USAGE
    except UnreadableError as error:
        terminal.complain(f"{printable(str(module))} can't be run: {error}")
        return 1
    except OSError as error:
        terminal.complain(f"{printable(str(directory))} can't be written: {error}")
        return terminal.UNWRITABLE
    return 0


def run() -> None:
    terminal.run(main)


if __name__ == "__main__":
    run()
