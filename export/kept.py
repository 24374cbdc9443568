"""Arrays that wait in files until they are needed: those of a large network would not fit beside it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np


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
