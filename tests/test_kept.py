"""slimhub.export.kept: arrays that wait in files."""

import numpy as np
import pytest

from slimhub.export import kept


@pytest.fixture
def arrays():
    return {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.float32(2)}


def test_kept(arrays, tmp_path):
    """Arrays come back from files, by the same names, in the same order, as often as they are asked for."""
    found = kept.Kept(arrays, into=tmp_path / "new" / "place")
    assert list(found) == ["b", "a"]
    assert len(found) == 2
    for _ in range(2):
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("large", [False, True])
def test_keep(arrays, tmp_path, monkeypatch, large):
    """Only large arrays are written to files."""
    monkeypatch.setattr(kept, "_LARGE", 4 if large else 1 << 20)
    found = kept.keep(arrays, into=tmp_path)
    assert (found is not arrays) == bool(list(tmp_path.iterdir())) == large
    np.testing.assert_array_equal(found["b"], arrays["b"])


def test_no_room(arrays, tmp_path):
    """Where they can't be written, that is an `OSError`."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        kept.Kept(arrays, into=tmp_path / "file")
