"""What a training left: the newest checkpoint by its state file, and what else lies there."""

import re
from pathlib import Path

from google.protobuf import text_format
from tensorflow.python.training import checkpoint_state_pb2

from slimhub.export.errors import SourceError

# TensorFlow's name for the file in which a Saver keeps what it saved.
STATE = "checkpoint"
# That of a training that kept thousands of checkpoints is smaller.
_MAX_BYTES = 1 << 20
_MAX_NAMES = 10
_BARE = re.compile(r".*\.ckpt(-[0-9]+)?")


def newest(directory: Path) -> Path | None:
    """The newest checkpoint of a training: the file of a V1 one, or the prefix of a V2 one.

    It is where the state file says, or beside the state file if it is not there: a training that
    was copied from elsewhere has the paths of elsewhere.

    Returns:
      None without a state file.

    Raises:
      SourceError: the state file is damaged, or what it names is gone.
    """
    state = directory / STATE
    if not state.is_file():
        return None
    named = _named(state)
    # Of whichever system.
    beside = directory / re.split(r"[/\\]", named)[-1]
    candidates = dict.fromkeys([directory / named, beside])
    for path in candidates:
        if exists(path):
            return path
    tried = " and ".join(map(str, candidates))
    raise SourceError(
        f"{state} names {named} as the newest checkpoint, which is gone: tried {tried}. "
        f"{what_is_there(directory)}"
    )


def exists(path: Path) -> bool:
    """Whether there is a checkpoint, or at least the index of one."""
    return path.is_file() or (path.parent / f"{path.name}.index").is_file()


def what_is_there(directory: Path) -> str:
    """The checkpoints in a directory, in words: the newest last, by the numbers of their steps."""
    names = {path.name.removesuffix(".index") for path in directory.glob("*.index")}
    names |= {path.name for path in directory.iterdir() if _BARE.fullmatch(path.name)}
    found = sorted((name for name in names if exists(directory / name)), key=_step)
    if not found:
        return "The directory holds no checkpoint."
    more = "..., " * (len(found) > _MAX_NAMES)
    last = found[-_MAX_NAMES:]
    return f"The directory holds {more}{', '.join(last)}: name one, --checkpoint={directory / last[-1]}"


def _step(name: str) -> tuple[int, str]:
    number = re.search(r"-([0-9]+)$", name)
    return int(number[1]) if number else -1, name


def _named(state: Path) -> str:
    """The path in a state file. Raises `SourceError`."""
    try:
        if state.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES} bytes")
        text = state.read_bytes().decode()
        found = text_format.Parse(text, checkpoint_state_pb2.CheckpointState())
        if not found.model_checkpoint_path.strip("/\\"):
            raise ValueError("it names no checkpoint")
    except (text_format.ParseError, ValueError) as error:
        raise SourceError(
            f"{state} is damaged: {str(error)[:200]}. Expected the state file of a training, with a "
            f"line model_checkpoint_path. {what_is_there(state.parent)}"
        ) from error
    return found.model_checkpoint_path.rstrip("/\\")
