"""Modules in directories, in archives, and behind URLs."""

import contextlib
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from slimhub.signatures.isolation.archived import Archived
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module
from slimhub.support import temporary

_ARCHIVE = (".tar.gz", ".tgz")
# Seconds to wait for a server.
_TIMEOUT = 60


@contextlib.contextmanager
def opened(path: str) -> Iterator[Module]:
    """Yield the module at a path or a URL; what is downloaded or unpacked is there until the block ends.

    Raises:
      UnreadableError: there is nothing that could be a module, or the block raised this; names `path`.
    """
    with contextlib.ExitStack() as stack:
        try:
            yield _module(path, stack)
        except (OSError, UnreadableError) as error:
            raise UnreadableError(f"{path}: {error}") from error


def _module(path: str, stack: contextlib.ExitStack) -> Module:
    is_url = re.match("(?i)https?://", path)
    if not is_url and not path.endswith(_ARCHIVE):
        return Module(Path(path))
    workdir = stack.enter_context(temporary.temporary())
    archive = Path(path)
    if is_url:
        archive = workdir / "module.tar.gz"
        _download(path, archive)
    into = workdir / "module"
    into.mkdir()
    return Archived(archive, into=into)


def _download(url: str, into: Path) -> None:
    # As tensorflow_hub asks for a module, of which URLs of archives take no notice.
    query = "" if "?" in url or url.endswith(_ARCHIVE) else "?tf-hub-format=compressed"
    with urllib.request.urlopen(url + query, timeout=_TIMEOUT) as response, into.open("wb") as file:
        shutil.copyfileobj(response, file)
