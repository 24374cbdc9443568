"""Who may import whom: nothing imports what stands above it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each room, and the rooms that it may import from, itself aside.
BELOW_GRAPHS = {"signatures.contract", "signatures.module", "support"}
BELOW_CHECKS = {"signatures.graphs", *BELOW_GRAPHS}
BELOW_ROOMS = {"export.class_names", "export.errors", "export.request"}
BELOW_EXPORT = {"models", "signatures.checks", *BELOW_ROOMS, *BELOW_CHECKS}
ROOMS = {
    "support": set(),
    "models": {"support"},
    "signatures.contract": {"support"},
    "signatures.module": {"signatures.contract", "support"},
    "signatures.graphs": BELOW_GRAPHS,
    "signatures.checks": BELOW_CHECKS,
    "signatures.isolation": {"signatures.checks", *BELOW_CHECKS},
    "signatures": {"signatures.isolation", "signatures.checks", *BELOW_CHECKS},
    "export.errors": {"support"},
    "export.class_names": {"export.errors", "models", "signatures.module"},
    "export.request": {"export.errors", "models", "signatures.contract", "signatures.module"},
    "export.checkpoints": BELOW_EXPORT,
    "export.writers": {"export.checkpoints", *BELOW_EXPORT},
    "export.verification": {"export.checkpoints", "export.writers", *BELOW_EXPORT},
    "export.publishing": BELOW_EXPORT,
    "export": {
        *("export.checkpoints", "export.writers", "export.verification", "export.publishing"),
        *("signatures.isolation", *BELOW_EXPORT),
    },
    "keras": {"signatures.isolation", *BELOW_GRAPHS},
    "hub": {"models", "signatures.checks", "signatures.isolation", *BELOW_CHECKS},
}
FILES = [
    path
    for top in ("export", "hub", "keras_layer", "models", "signatures", "support")
    for path in sorted((ROOT / top).rglob("*.py"))
]


def room(name: str) -> str:
    """The room that a module is in: the longest name in `ROOMS` that its own begins with."""
    return max((one for one in ROOMS if f"{name}.".startswith(f"{one}.")), key=len)


def imported(path: Path) -> set[str]:
    """Names of the modules of slimhub that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("slimhub."):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("slimhub.") for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_layers(path):
    """A file imports from its own room and from those below it only."""
    # In a checkout, `import keras` must not find a folder of that name.
    own = room(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).replace("keras_layer", "keras")
    )
    assert {room(name) for name in imported(path)} - {own} <= ROOMS[own]


def test_folders():
    """A folder has a dozen files at most, beside the one that says what it is; so has one of tests."""
    files = [*FILES, *(ROOT / "tests").rglob("*.py")]
    folders = [path.parent for path in files if path.name != "__init__.py"]
    assert {folder for folder in folders if folders.count(folder) > 12} == set()
