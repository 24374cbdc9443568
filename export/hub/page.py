"""Prints the page of a module, in Markdown.

Usage: python -m slimhub.export.hub.page [--root=build/modules] [--url=http://127.0.0.1:8000] HANDLE

Its pictures and links lead to a hub at that URL, which serves the root.

Exits with 0, 1 if the module is not as it was published, 2 for usage or if there is no such module.
"""

import asyncio
from pathlib import Path

from absl import flags

from slimhub.signatures import command_line

_ROOT = flags.DEFINE_string("root", "build/modules", "Root directory of modules.")
_URL = flags.DEFINE_string("url", "http://127.0.0.1:8000", "Where a hub serves that root.")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        command_line.complain("Expected one handle: google/imagenet/inception_v2/classification/3")
        return command_line.USAGE
    try:
        from slimhub.export.hub import pages, portraits, shelf
    except ModuleNotFoundError as error:
        command_line.complain(f"{error}: pip install 'slimhub[serve]' installs what it needs.")
        return command_line.USAGE
    there = shelf.Shelf(Path(_ROOT.value))
    try:
        entry = there.entry(arguments[0].strip("/"))
    except shelf.UnknownHandleError as error:
        nearest = "".join(f"\n  {handle}" for handle in error.nearest)
        command_line.complain(f"{error}{' The nearest are:' if nearest else ''}{nearest}")
        return command_line.USAGE
    except shelf.DamagedModuleError as error:
        command_line.complain(str(error))
        return 1
    url = _URL.value.rstrip("/")
    portrait = asyncio.run(portraits.Portraits(portraits.default_directory()).get(entry))
    siblings = pages.siblings(entry, there.handles())
    command_line.show(pages.markdown(entry, url=url, siblings=siblings, portrait=portrait))
    return 0


def run() -> None:
    command_line.run(main)


if __name__ == "__main__":
    run()
