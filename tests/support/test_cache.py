"""Where the cache is."""

import pwd
from pathlib import Path

import pytest

from slimhub.support import cache


@pytest.mark.parametrize(
    ("value", "expected"),
    [("/var/cache", "/var/cache/slimhub"), ("", "~"), ("relative", "~"), (None, "~")],
)
def test_default_cache(monkeypatch, tmp_path, value, expected):
    """The cache is in an absolute XDG_CACHE_HOME, else in ~/.cache."""
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    home = str(tmp_path / ".cache" / "slimhub")
    assert str(cache.default_cache()) == expected.replace("~", home)


def test_no_home(monkeypatch):
    """A user without a home directory is told to name a cache, and may name one."""

    def no_entry(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    with pytest.raises(cache.NoCacheError, match="XDG_CACHE_HOME"):
        cache.default_cache()
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache.default_cache() == Path("/var/cache/slimhub")
