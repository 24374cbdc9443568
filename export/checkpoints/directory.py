"""The checkpoint in a directory: a published one, the newest of a training, or that of a module."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import text_format

from slimhub.export.errors import SourceError
from slimhub.models.model import Model
from slimhub.support.tf_private import CheckpointState

EXPECTED = (
    "not a checkpoint. Expected a TensorFlow 1 checkpoint of a TF-Slim network: a V1 file, or the prefix "
    "of .index and .data-*-of-* files."
)
# Other files that users may pass, by suffix.
OTHER_FORMATS = {
    ".pb": "a TensorFlow graph, frozen or without weights",
    ".pbtxt": "a TensorFlow graph as text, without weights",
    **dict.fromkeys((".h5", ".hdf5", ".keras"), "a Keras file, of other networks than TF-Slim's"),
    **dict.fromkeys((".pth", ".pt"), "a PyTorch file"),
    ".safetensors": "a safetensors file",
    ".tflite": "a TensorFlow Lite model",
    ".onnx": "an ONNX model",
}
SAVED_MODEL = "saved_model.pb"
# TensorFlow's name for the file in which a Saver records the checkpoints that it saved.
_STATE = "checkpoint"
# Most bytes of a state file. One with thousands of checkpoints is smaller.
_MAX_BYTES = 1 << 20
_MAX_NAMES = 10
_BARE = re.compile(r".*\.ckpt(-[0-9]+)?")


def find(directory: Path, models: Sequence[Model]) -> Path:
    """Return the path of the checkpoint in a directory: an archive, a V1 file, or a V2 prefix.

    In a module or any other SavedModel, it is the checkpoint of the variables.

    Raises:
      SourceError: the directory holds no checkpoint of these networks, or several.
    """
    variables = directory / "variables" / "variables"
    if (directory / SAVED_MODEL).is_file() and _exists(variables):
        return variables
    published = [_published_names(model) for model in models]
    found = {path for names in published if (path := _first(directory, names)) is not None}
    newest = _newest(directory)
    if newest is not None:
        found = {path for path in found if os.path.realpath(path) != os.path.realpath(newest)}
        found.add(newest)
    checkpoints = sorted(found)
    if len(checkpoints) == 1:
        return checkpoints[0]
    names = tuple(path.name for path in checkpoints)
    if checkpoints:
        said = f", whose state file names {newest} as the newest" if newest else ""
        raise SourceError(
            f"There is more than one checkpoint in {directory.absolute()}{said}: "
            f"{', '.join(names)}. Name one, {_as_flag(checkpoints[0])}",
            reason="ambiguous",
            path=directory,
            found=names,
        )
    expected = (*published[0], _STATE)
    tried = ", ".join(expected)
    network = models[0].name if len(models) == 1 else "any network"
    raise SourceError(
        f"There is no checkpoint of {network} in {directory.absolute()}. Tried: "
        f"{'' if len(models) == 1 else 'names such as '}{tried}. {_instead(directory)}",
        reason="absent",
        path=directory,
        expected=expected,
        found=tuple(checkpoint_names(directory)),
    )


def _published_names(model: Model) -> list[str]:
    """Return the names under which a directory may hold a network's checkpoint, preferred ones first."""
    member = model.archive.member
    archives = (model.archive.name, f"{model.name}.tar.gz")
    return [*archives, member, f"{member}.index", f"{model.name}.index"]


def _first(directory: Path, names: Sequence[str]) -> Path | None:
    there = (name for name in names if (directory / name).is_file())
    return next((directory / name.removesuffix(".index") for name in there), None)


def _instead(directory: Path) -> str:
    """Return a sentence about what a directory holds in place of a checkpoint."""
    if (directory / SAVED_MODEL).is_file():
        return "It is a SavedModel without variables."
    others = sorted(path for path in directory.iterdir() if path.suffix in OTHER_FORMATS)
    if others and not checkpoint_names(directory):
        return f"It holds {others[0].name}, {OTHER_FORMATS[others[0].suffix]}, {EXPECTED}"
    return describe(directory)


def _newest(directory: Path) -> Path | None:
    """Return the newest checkpoint of a training: the file of a V1 one, or the prefix of a V2 one.

    The checkpoint is looked for at the path in the state file, then beside the state file, because the
    state file of a copied directory still has the old paths.

    Returns:
      The path, or None without a state file.

    Raises:
      SourceError: the state file is damaged, or the checkpoint that it names is gone.
    """
    state = directory / _STATE
    if not state.is_file():
        return None
    named = _named(state)
    # The path may have been written on another system.
    beside = directory / re.split(r"[/\\]", named)[-1]
    candidates = dict.fromkeys([directory / named, beside])
    for path in candidates:
        if _exists(path):
            return path
    tried = " and ".join(map(str, candidates))
    raise SourceError(
        f"{state} names {named} as the newest checkpoint, which is gone: tried {tried}. "
        f"{describe(directory)}",
        reason="absent",
        path=directory / named,
        expected=tuple(map(str, candidates)),
        found=tuple(checkpoint_names(directory)),
    )


def _exists(path: Path) -> bool:
    """Return whether there is a V1 checkpoint, or at least the index of a V2 one."""
    return path.is_file() or (path.parent / f"{path.name}.index").is_file()


def describe(directory: Path) -> str:
    """Return a sentence with the newest checkpoints in a directory, in order of their steps."""
    checkpoints = checkpoint_names(directory)
    if not checkpoints:
        return "The directory holds no checkpoint."
    more = "..., " * (len(checkpoints) > _MAX_NAMES)
    last = checkpoints[-_MAX_NAMES:]
    return (
        f"The directory holds {more}{', '.join(last)}: name one, {_as_flag(directory / last[-1])}"
    )


def checkpoint_names(directory: Path) -> list[str]:
    """Return the names of the checkpoints in a directory, sorted by step."""
    candidates = {path.name.removesuffix(".index") for path in directory.glob("*.index")}
    candidates |= {path.name for path in directory.iterdir() if _BARE.fullmatch(path.name)}
    return sorted((name for name in candidates if _exists(directory / name)), key=_step)


def _as_flag(path: Path) -> str:
    """Return the flag that names a checkpoint, quoted for a shell."""
    return f"--checkpoint={shlex.quote(str(path))}"


def _step(name: str) -> tuple[int, str]:
    number = re.search(r"-([0-9]+)$", name)
    return int(number[1]) if number else -1, name


def _named(state: Path) -> str:
    """Return the path of the newest checkpoint in a state file. Raise `SourceError`."""
    try:
        if state.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES} bytes")
        text = state.read_bytes().decode()
        parsed = text_format.Parse(text, CheckpointState())
        if not parsed.model_checkpoint_path.strip("/\\"):
            raise ValueError("it names no checkpoint")
    except (text_format.ParseError, ValueError) as error:
        raise SourceError(
            f"{state} is damaged: {str(error)[:200]}. Expected the state file of a training, with a "
            f"line model_checkpoint_path. {describe(state.parent)}",
            reason="damaged",
            path=state,
            found=tuple(checkpoint_names(state.parent)),
        ) from error
    return parsed.model_checkpoint_path.rstrip("/\\")
