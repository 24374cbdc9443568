"""Arrays that wait until they are needed, large ones in files: they would not fit beside a large network."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

# Bytes of arrays from which on they are kept in files.
_LARGE = 64 << 20


def keep(arrays: Mapping[str, np.ndarray], *, into: Path) -> Mapping[str, np.ndarray]:
    """The arrays, or the same in files of a directory. Raises `OSError`."""
    if sum(array.nbytes for array in arrays.values()) < _LARGE:
        return arrays
    return Kept(arrays, into=into)


class Kept(Mapping[str, np.ndarray]):
    """Arrays by name, each read anew whenever it is asked for."""

    def __init__(self, arrays: Mapping[str, np.ndarray], *, into: Path):
        """Writes them into a directory, which is made if it is not there. Raises `OSError`."""
        into.mkdir(parents=True, exist_ok=True)
        self._paths = {name: into / f"{index}.npy" for index, name in enumerate(arrays)}
        for name, path in self._paths.items():
            np.save(path, arrays[name])

    def __getitem__(self, name: str) -> np.ndarray:
        return np.load(self._paths[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)
