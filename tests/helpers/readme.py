"""README.md: its blocks of code, a directory in which they run, and its table of networks."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from slimhub.models import catalog, unavailable
from slimhub.signatures.contract import handles, versions

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
_BLOCK, _FLAGS = r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL


def find_blocks(text: str) -> list[tuple[str, str]]:
    """Return the language and the code of each block in a text."""
    return re.findall(_BLOCK, text, _FLAGS)


BLOCKS = find_blocks(README)


def blocks(heading: str, language: str) -> list[str]:
    """Return the blocks of code in a language under a heading of the third level."""
    text = README.split(f"\n### {heading}\n")[1].split("\n## ")[0].split("\n### ")[0]
    return [code for found, code in find_blocks(text) if found == language]


def networks() -> str:
    """Return the table of networks, generated from the catalog."""
    head = (
        *("handle, without task and version", "network", "size", "smallest", "features", "classes"),
        *("momentum", "top-1", "top-5", "its archive's SHA-256"),
    )
    rows = [
        (
            f"`{model.handle_prefix}/{model.name}`",
            model.title,
            *(" x ".join(map(str, size)) for size in (model.image_size, model.min_image_size)),
            str(model.num_features),
            str(model.num_classes),
            "no batch norm" if model.batch_norm is None else str(model.batch_norm.decay),
            *(f"{percent} %" for percent in model.accuracy),
            "known" if model.archive.sha256 else "not known",
        )
        for model in catalog.MODELS
    ]
    return _table(head, rows)


def handle_table() -> str:
    """Return the table of the handles that can be exported, generated from the catalog."""
    rows = [
        (
            f"`{prefix}/{model.name}/TASK/`",
            ", ".join(map(str, versions.below(prefix))),
            model.title,
            f"`{model.archive.name}`",
            str(model.num_classes),
            str(model.num_features),
        )
        for model in catalog.MODELS
        for prefix in (model.handle_prefix, *model.other_prefixes)
    ]
    head = ("handle", "versions", "network", "TF-Slim's checkpoint", "classes", "features")
    return _table(head, rows)


def version_table() -> str:
    """Return the table of the versions, generated from the contract."""
    rows = [
        (str(number), rules.format.name, rules.changes)
        for number, rules in versions.VERSIONS.items()
    ]
    return _table(("version", "format", "what was new"), rows)


def unavailable_table() -> str:
    """Return the table of the handles that can't be exported, generated from the catalog."""
    publisher = handles.PUBLISHER
    missing = [
        (
            f"`{publisher}/*/{pattern}/...`",
            unavailable.unknown(family),
            catalog.get(nearest),
        )
        for pattern, (family, nearest) in unavailable.FAMILIES.items()
    ]
    other = [
        (f"`{publisher}/imagenet/{model.name}/...`", unavailable.of_others(model), model)
        for model in catalog.MODELS
        if not model.handle_prefix.startswith(f"{publisher}/")
    ]
    rows = [
        (name, why, f"`{nearest.handle_prefix}/{nearest.name}/...`")
        for name, why, nearest in (*missing, *other)
    ]
    return _table(("handle", "why", "the nearest"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def checkout(text: str, *, module: Callable[[str, str, int], Path], into: Path) -> Path:
    """Link the modules that a text names into a directory, under their paths; return the directory."""
    paths = set(re.findall(r"build/modules/google/imagenet/[\w/]+/\d", text))
    assert paths, "it names no module"
    for path in sorted(paths):
        *_, model, task, version = path.split("/")
        (into / path).parent.mkdir(parents=True)
        (into / path).symlink_to(module(model, task, int(version)))
    return into
