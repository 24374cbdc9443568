"""export/training_directory.py: the newest checkpoint of a training, or why there is none."""

from pathlib import Path

import pytest

from slimhub.export import checkpoint as checkpoints
from slimhub.export.errors import SourceError
from slimhub.models import catalog

V1 = catalog.get("inception_v1")
STEPS = (100, 200, 1000)
INDEX, SHARD = "model.ckpt-1000.index", "model.ckpt-1000.data-00000-of-00001"


def state(*paths: str) -> str:
    """A state file as TensorFlow writes it; the last path is the newest."""
    kept = "".join(f'all_model_checkpoint_paths: "{path}"\n' for path in paths)
    return f'model_checkpoint_path: "{paths[-1]}"\n{kept}'


@pytest.fixture
def directory(tmp_path) -> Path:
    """What a training leaves, without weights: prefixes of a few bytes, and its state file."""
    directory = tmp_path / "run"
    directory.mkdir()
    for step in STEPS:
        (directory / f"model.ckpt-{step}.index").write_bytes(b"index")
        (directory / f"model.ckpt-{step}.data-00000-of-00001").write_bytes(b"data")
        (directory / f"model.ckpt-{step}.meta").write_bytes(b"graph")
    (directory / "checkpoint").write_text(state(*(f"model.ckpt-{step}" for step in STEPS)))
    return directory


@pytest.fixture
def resolve(tmp_path):
    workdir = tmp_path / "workdir"
    workdir.mkdir()

    def resolve(source: Path, model=V1):
        return checkpoints.resolve(str(source), model=model, workdir=workdir)

    return resolve


def refusal(resolve, *args) -> str:
    with pytest.raises(SourceError) as caught:
        resolve(*args)
    assert caught.value.exit_code == 3
    return str(caught.value)


@pytest.mark.parametrize(
    "named",
    [
        "model.ckpt-1000",
        "./model.ckpt-1000",
        "old/run/model.ckpt-1000",
        "/elsewhere/run/model.ckpt-1000",
        "C:\\\\runs\\\\model.ckpt-1000",
        "gs://bucket/run/model.ckpt-1000",
    ],
)
def test_newest(directory, resolve, named):
    """The newest checkpoint is taken, beside the state file if it is not where that says."""
    (directory / "checkpoint").write_text(state("/elsewhere/run/model.ckpt-100", named))
    found = resolve(directory)
    assert found.path.resolve() == (directory / "model.ckpt-1000").resolve()
    assert found.taken == str(found.path)
    assert [file.name for file in found.files] == [INDEX, SHARD]
    assert found.status == "unverified"


def test_newest_elsewhere(directory, resolve, tmp_path):
    """A checkpoint that is where the state file says is taken from there."""
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "checkpoint").write_text(state(str(directory / "model.ckpt-200")))
    assert resolve(tmp_path / "moved").path == directory / "model.ckpt-200"


@pytest.mark.parametrize("model", [catalog.get("inception_v2"), None], ids=["model", "auto"])
def test_any_network(directory, resolve, model):
    """The state file says what is newest, whichever the network."""
    assert resolve(directory, model).path == directory / "model.ckpt-1000"


def test_named_prefix(directory, resolve):
    """An older checkpoint of the training can be named."""
    assert resolve(directory / "model.ckpt-200").path == directory / "model.ckpt-200"


def test_v1_files(directory, resolve):
    """A training of an old TensorFlow left files without a suffix."""
    (directory / "model.ckpt-2000").write_bytes(b"weights")
    (directory / "checkpoint").write_text(state("model.ckpt-2000"))
    assert resolve(directory).places == (directory / "model.ckpt-2000",)


def test_newest_is_gone(directory, resolve):
    """If the newest checkpoint is gone, the error says where it was looked for, and what is there."""
    (directory / "checkpoint").write_text(state("/elsewhere/model.ckpt-3000"))
    assert refusal(resolve, directory) == (
        f"{directory}/checkpoint names /elsewhere/model.ckpt-3000 as the newest checkpoint, which is "
        f"gone: tried /elsewhere/model.ckpt-3000 and {directory}/model.ckpt-3000. The directory holds "
        "model.ckpt-100, model.ckpt-200, model.ckpt-1000: name one, "
        f"--checkpoint={directory}/model.ckpt-1000"
    )


def test_half_of_the_newest(directory, resolve):
    """If half of the newest checkpoint is gone, it is not passed over for an older one."""
    (directory / SHARD).unlink()
    assert f"only {INDEX} is there" in refusal(resolve, directory)


DAMAGED = {
    "empty": (b"", "it names no checkpoint"),
    "blank": (b"\n", "it names no checkpoint"),
    "no_path": (b'all_model_checkpoint_paths: "model.ckpt-100"\n', "it names no checkpoint"),
    "empty_path": (b'model_checkpoint_path: ""\n', "it names no checkpoint"),
    "root": (b'model_checkpoint_path: "/"\n', "it names no checkpoint"),
    "truncated": (b'model_checkpoint_path: "model.ck', "1:24 : "),
    "prose": (b"The newest is model.ckpt-1000.\n", "has no field named"),
    "json": (b'{"model_checkpoint_path": "model.ckpt-1000"}', "1:1 : "),
    "not_utf8": (b'model_checkpoint_path: "\xff"\n', "can't decode"),
    "binary": (bytes(99), "1:1 : "),
    "large": (b"#" * (1 << 20) + b"\n", "it has more than 1048576 bytes"),
}


@pytest.mark.parametrize(("content", "says"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_state_file(directory, resolve, content, says):
    """A damaged state file is one error, which says what is there instead."""
    (directory / "checkpoint").write_bytes(content)
    message = refusal(resolve, directory)
    assert message.startswith(f"{directory}/checkpoint is damaged: ")
    assert says in message
    assert message.endswith(f"name one, --checkpoint={directory}/model.ckpt-1000")
    assert len(message) < 1000


@pytest.mark.parametrize("name", ["inception_v1_2016_08_28.tar.gz", "inception_v1.ckpt"])
def test_ambiguous(directory, resolve, name):
    """A state file and a file named like the published one are not chosen between."""
    (directory / name).write_bytes(b"weights")
    message = refusal(resolve, directory)
    assert f"names {directory}/model.ckpt-1000 as the newest" in message
    assert f"{name}, model.ckpt-1000. Name one, --checkpoint={directory}/" in message
    assert resolve(directory, catalog.get("inception_v2")).path.name == "model.ckpt-1000"


def test_not_ambiguous(directory, resolve):
    """A state file that names the file that is named like the published one agrees with it."""
    (directory / "inception_v1.ckpt").write_bytes(b"weights")
    (directory / "checkpoint").write_text(state("/elsewhere/inception_v1.ckpt"))
    assert resolve(directory).path == directory / "inception_v1.ckpt"


def test_directory_of_none(tmp_path, resolve):
    """Without a network, a directory without a checkpoint is told what it lacks."""
    assert f"There is no checkpoint of any network in {tmp_path}" in refusal(
        resolve, tmp_path, None
    )


def test_unnamed_network(resolve):
    """What is not on disk can't be brought before its network is known."""
    assert "the network must be named" in refusal(resolve, " https://127.0.0.1:9/a.tar.gz", None)


def test_directory_of_several(tmp_path, resolve):
    """Without a network, a directory of several checkpoints is not chosen from."""
    for name in ("inception_v1.ckpt", "inception_v2.ckpt"):
        (tmp_path / name).write_bytes(b"weights")
    assert "more than one checkpoint in" in refusal(resolve, tmp_path, None)
    assert resolve(tmp_path).path.name == "inception_v1.ckpt"
