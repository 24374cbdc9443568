"""Print the page of a module in Markdown.

Usage: python -m slimhub.hub.page [flags] HANDLE

Its pictures and links lead to a hub at --url that serves the same root.

Exit codes: 0 done, 1 the module differs from what was published, 2 usage, no such module, or the
root can't be read.

Example: python -m slimhub.hub.page google/imagenet/inception_v2/classification/3
"""

import asyncio
from pathlib import Path

from absl import flags

from slimhub.support import terminal
from slimhub.support.cache import NoCacheError

_ROOT = flags.DEFINE(
    terminal.PathParser(), "root", "build/modules", "Directory to find modules below."
)
_URL = flags.DEFINE_string(
    "url", "http://127.0.0.1:8000", "URL of the hub that serves the same root."
)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        terminal.complain("Expected one handle: google/imagenet/inception_v2/classification/3")
        return terminal.USAGE
    try:
        from slimhub.hub import documentation, index
        from slimhub.hub.previews import cache
    except ModuleNotFoundError as error:
        terminal.complain(f"{error}: pip install 'slimhub[serve]' installs what it needs.")
        return terminal.USAGE
    modules = index.ModuleIndex(Path(_ROOT.value))
    try:
        entry = modules.entry(arguments[0].strip("/"))
    except index.UnknownHandleError as error:
        nearest = "".join(f"\n  {handle}" for handle in error.nearest)
        terminal.complain(f"{error}{' The nearest are:' if nearest else ''}{nearest}")
        return terminal.USAGE
    except index.UnavailableError as error:
        terminal.complain(f"--root={_ROOT.value}: {error}")
        return terminal.USAGE
    except index.DamagedModuleError as error:
        terminal.complain(str(error))
        return 1
    try:
        previews = cache.PreviewCache(cache.default_directory())
        preview = asyncio.run(previews.get(entry))
    except NoCacheError:
        preview = "There is no cache to keep them in: set XDG_CACHE_HOME to a directory."
    siblings = documentation.siblings(entry, modules.handles())
    url = _URL.value.rstrip("/")
    terminal.show(documentation.markdown(entry, url=url, siblings=siblings, preview=preview))
    return 0


def run() -> None:
    terminal.run(main)


if __name__ == "__main__":
    run()
