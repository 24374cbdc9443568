"""Export the published checkpoints in every version, and classify photographs with the modules.

Usage: python -m slimhub.export.verify_published [flags]

Everything runs on the CPU. Prints the five likeliest classes of each photograph, and writes
<output>/archives.md, a table of the archives with their sizes and SHA-256 sums as the catalog takes
them.

Exit codes are those of the exporter. If several models fail, the first one counts.

Example: python -m slimhub.export.verify_published --model=inception_v1 --images=photographs
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import requests
from absl import flags
from rich.markup import escape
from rich.table import Table

from slimhub.export.errors import DownloadError, ExportError, OutputError, UsageError
from slimhub.models import catalog
from slimhub.models.model import Model
from slimhub.models.published import LABELS_URL
from slimhub.signatures.module import class_names
from slimhub.support import terminal
from slimhub.support.printable import printable

_MODEL = flags.DEFINE_multi_enum("model", catalog.names(), catalog.names(), "May repeat.")
_IMAGES = flags.DEFINE(
    terminal.PathParser(),
    "images",
    None,
    "Directory of photographs, .png and .jpg. Left out: some of scikit-image's.",
)
_SERVER = flags.DEFINE_string(
    "server",
    None,
    "URL below which all files are, instead of the official ones. An archive from there may have "
    "another SHA-256 than the published one; the modules tell.",
)
_OUTPUT = flags.DEFINE(
    terminal.PathParser(), "output", "build/published", "Root directory of the modules."
)

# Pictures of scikit-image that show objects of ImageNet's classes.
_PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
_SUFFIXES = (".png", ".jpg", ".jpeg")


def main(arguments: list[str]) -> int:
    if arguments:
        terminal.complain(f"Arguments that no flag takes: {' '.join(arguments)}")
        return terminal.USAGE
    try:
        photographs, names = _photographs(_IMAGES.value), _class_names(_SERVER.value)
    except ExportError as error:
        terminal.complain(str(error))
        return error.exit_code
    with terminal.quiet_imports():
        from slimhub.export import published
        from slimhub.export.verification import processes

    output, rows, errors = Path(_OUTPUT.value), [], []
    with processes.ForkedProcess() as executor:
        for model in map(catalog.get, dict.fromkeys(_MODEL.value)):
            try:
                verified = published.verify(
                    model, executor, photographs=photographs, server=_SERVER.value, output=output
                )
                terminal.show(_classes(model, verified, photographs, names))
                rows.append(_row(verified))
                _write(output / "archives.md", rows)
            except (ExportError, OSError) as error:
                terminal.complain(f"{model.name}: {error}")
                errors.append(getattr(error, "exit_code", OutputError.exit_code))
    return errors[0] if errors else 0


def _photographs(directory: str | None) -> list[Path]:
    """Return the image files in a directory, or the default ones. Raise `UsageError`."""
    if directory is None:
        skimage = importlib.util.find_spec("skimage")
        if skimage is None or skimage.origin is None:
            raise UsageError(
                "The photographs are those of scikit-image, which is not installed: pip install "
                "'slimhub[photographs]', or name a directory of others, --images=DIR."
            )
        return [Path(skimage.origin).parent / "data" / name for name in _PHOTOGRAPHS]
    try:
        paths = [path for path in Path(directory).iterdir() if path.suffix.lower() in _SUFFIXES]
    except OSError as error:
        raise UsageError(f"--images={directory} can't be read: {error.strerror}") from error
    if not paths:
        raise UsageError(f"--images={directory}: expected {', '.join(_SUFFIXES)} files, got none.")
    return sorted(paths)


def _class_names(server: str | None) -> tuple[str, ...]:
    """Download the names of the 1001 classes, the background's first. Raise `DownloadError`."""
    url = LABELS_URL
    if server is not None:
        url = f"{server.rstrip('/')}/{url.rpartition('/')[2]}"
    try:
        # A redirect may lead from https to http, where anybody may forge the response.
        with requests.get(url, timeout=(10, 60), stream=True, allow_redirects=False) as response:
            response.raise_for_status()
            names = class_names.parse(
                response.raw.read(class_names.MOST_BYTES, decode_content=True)
            )
    except (OSError, ValueError) as error:
        raise DownloadError(f"{url}, the names of the classes: {error}") from error
    if len(names) != 1001:
        raise DownloadError(f"{url}: expected the names of 1001 classes, got {len(names)}.")
    return names


def _classes(model: Model, verified, photographs: Sequence[Path], names: Sequence[str]) -> Table:
    """Return a table of the five likeliest classes of each photograph."""
    names = names if model.background else names[1:]
    title = escape(printable(f"{model.name}: {verified.record.weights}"))
    table = Table(title=title, title_justify="left")
    table.add_column("photograph", overflow="fold")
    table.add_column("likeliest classes", overflow="fold")
    for path, logits in zip(photographs, verified.logits, strict=True):
        exponentials = np.exp(logits - logits.max())
        percents = 100 * exponentials / exponentials.sum()
        top = np.argsort(-logits)[:5]
        likeliest = ", ".join(f"{names[i]} {percents[i]:.1f} %" for i in top)
        table.add_row(*(escape(printable(text)) for text in (path.name, likeliest)))
    return table


def _row(verified) -> str:
    record, archive = verified.record, verified.record.checkpoint[0]
    return (
        f'| {record.model} | `num_bytes={archive.num_bytes}, sha256="{archive.sha256}"` | '
        f"{verified.parity:.1e} | {verified.difference:.1e} | {record.weights} |"
    )


def _write(path: Path, rows: Sequence[str]) -> None:
    """Write the table of the models so far. Raises `OSError`."""
    heading = "| model | archive | difference to Slim | between versions | weights |"
    path.write_text("\n".join([heading, "|---|---|---|---|---|", *rows, ""]))


def run() -> None:
    terminal.run(main)


if __name__ == "__main__":
    run()
