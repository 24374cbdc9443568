"""The cache: a directory for downloads and previews, which outlives a run."""

import os
from pathlib import Path


class NoCacheError(Exception):
    """An error for a user who has no directory for a cache."""


def default_cache() -> Path:
    """Return `$XDG_CACHE_HOME/slimhub`, or `~/.cache/slimhub` if that is unset, empty or relative.

    Raises:
      NoCacheError: the user has no home directory.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says to ignore relative paths.
    if base.is_absolute():
        return base / "slimhub"
    try:
        return Path.home() / ".cache" / "slimhub"
    except RuntimeError as error:
        # Some users in containers are only a number, without a home directory.
        raise NoCacheError(
            "There is no cache, as this user has no home directory: set XDG_CACHE_HOME to a directory."
        ) from error
