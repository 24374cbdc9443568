"""README.md: its blocks of code, and a place where they run."""

import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
_BLOCK, _FLAGS = r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
# Language and code of each.
BLOCKS: list[tuple[str, str]] = re.findall(_BLOCK, README, _FLAGS)


def blocks(heading: str, language: str) -> list[str]:
    """Code of that language under a heading of the third level."""
    text = README.split(f"\n### {heading}\n")[1].split("\n## ")[0].split("\n### ")[0]
    return [code for found, code in re.findall(_BLOCK, text, _FLAGS) if found == language]


def checkout(text: str, *, module: Callable[[str, str, int], Path], into: Path) -> Path:
    """Puts the modules that a text names into a directory, under their names, and gives that."""
    paths = set(re.findall(r"build/modules/google/imagenet/[\w/]+/\d", text))
    assert paths, "it names no module"
    for path in sorted(paths):
        *_, model, task, version = path.split("/")
        (into / path).parent.mkdir(parents=True)
        (into / path).symlink_to(module(model, task, int(version)))
    return into
