"""The checkpoint in the directory of a training, or the reason why there is none."""

from pathlib import Path

import pytest

from slimhub.export.checkpoints import resolve as checkpoints
from slimhub.export.errors import SourceError
from slimhub.models import catalog

V1 = catalog.get("inception_v1")
NAMES = ("model.ckpt-100", "model.ckpt-200", "model.ckpt-1000")
INDEX, SHARD = "model.ckpt-1000.index", "model.ckpt-1000.data-00000-of-00001"


def state(*paths: str) -> str:
    """A state file as TensorFlow writes it; the last path is the newest."""
    kept = "".join(f'all_model_checkpoint_paths: "{path}"\n' for path in paths)
    return f'model_checkpoint_path: "{paths[-1]}"\n{kept}'


@pytest.fixture
def directory(tmp_path) -> Path:
    """Return the directory of a training, with a few bytes for weights, and its state file."""
    directory = tmp_path / "run"
    directory.mkdir()
    for name in NAMES:
        for suffix in ("index", "data-00000-of-00001", "meta"):
            (directory / f"{name}.{suffix}").write_bytes(b"data")
    (directory / "checkpoint").write_text(state(*NAMES))
    return directory


@pytest.fixture
def resolve(tmp_path):
    workdir = tmp_path / "workdir"
    workdir.mkdir()

    def resolve(source: Path, model=V1):
        return checkpoints.resolve(str(source), model=model, workdir=workdir)

    return resolve


def refusal(resolve, *args) -> SourceError:
    with pytest.raises(SourceError) as caught:
        resolve(*args)
    assert caught.value.exit_code == 3
    return caught.value


@pytest.mark.parametrize(
    "named",
    [
        "model.ckpt-1000",
        "/elsewhere/run/model.ckpt-1000",
        "C:\\\\runs\\\\model.ckpt-1000",
        "gs://bucket/run/model.ckpt-1000",
    ],
)
def test_newest(directory, resolve, named):
    """The newest checkpoint is used, beside the state file if it is not where that says."""
    (directory / "checkpoint").write_text(state("/elsewhere/run/model.ckpt-100", named))
    found = resolve(directory)
    assert found.path.resolve() == (directory / "model.ckpt-1000").resolve()
    assert found.taken == str(found.path)
    assert [file.name for file in found.files] == [INDEX, SHARD]
    assert found.status == "unverified"


def test_newest_elsewhere(directory, resolve, tmp_path):
    """A checkpoint that is where the state file says is used from there."""
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "checkpoint").write_text(state(str(directory / "model.ckpt-200")))
    assert resolve(tmp_path / "moved").path == directory / "model.ckpt-200"


@pytest.mark.parametrize("model", [catalog.get("inception_v2"), None], ids=["model", "auto"])
def test_any_network(directory, resolve, model):
    """The state file says what is newest, whichever the network."""
    assert resolve(directory, model).path == directory / "model.ckpt-1000"


def test_v1_files(directory, resolve):
    """A training of an old TensorFlow left files without a suffix."""
    (directory / "model.ckpt-2000").write_bytes(b"weights")
    (directory / "checkpoint").write_text(state("model.ckpt-2000"))
    assert resolve(directory).places == (directory / "model.ckpt-2000",)


@pytest.mark.parametrize("named", ["/elsewhere/model.ckpt-3000", "..", "a\\000b"])
def test_newest_is_gone(directory, resolve, named):
    """If the newest checkpoint is gone, the error says where it was looked for, and what is there."""
    (directory / "checkpoint").write_text(state(named))
    error = refusal(resolve, directory)
    named = named.replace("\\000", "\0")
    tried = (str(directory / named), str(directory / named.rpartition("/")[2]))
    assert (error.reason, error.path) == ("absent", directory / named)
    assert error.expected == tuple(dict.fromkeys(tried))
    assert error.found == NAMES
    assert str(error) == (
        f"{directory}/checkpoint names {named} as the newest checkpoint, which is gone: tried "
        f"{' and '.join(error.expected)}. The directory holds {', '.join(NAMES)}: name one, "
        f"--checkpoint={directory}/model.ckpt-1000"
    )


def test_half_of_the_newest(directory, resolve):
    """If half of the newest checkpoint is gone, no older one is used instead."""
    (directory / SHARD).unlink()
    error = refusal(resolve, directory)
    assert (error.reason, error.found) == ("incomplete", (INDEX,))


DAMAGED = {
    "empty": b"",
    "root": b'model_checkpoint_path: "/"\n',
    "truncated": b'model_checkpoint_path: "model.ck',
    "not_utf8": b'model_checkpoint_path: "\xff"\n',
    "large": state("model.ckpt-100").encode() + b"#" * (1 << 20),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_state_file(directory, resolve, content):
    """A damaged state file is one short error, which says what is there instead."""
    (directory / "checkpoint").write_bytes(content)
    error = refusal(resolve, directory)
    assert (error.reason, error.path) == ("damaged", directory / "checkpoint")
    assert error.found == NAMES
    assert len(str(error)) < 1000


@pytest.mark.parametrize("name", ["inception_v1_2016_08_28.tar.gz", "inception_v1.ckpt"])
def test_ambiguous(directory, resolve, name):
    """A state file and a file named like the published one are ambiguous."""
    (directory / name).write_bytes(b"weights")
    error = refusal(resolve, directory)
    assert (error.reason, error.path) == ("ambiguous", directory)
    assert error.found == (name, "model.ckpt-1000")
    assert str(error) == (
        f"There is more than one checkpoint in {directory}, whose state file names "
        f"{directory}/model.ckpt-1000 as the newest: {name}, model.ckpt-1000. Name one, "
        f"--checkpoint={directory}/{name}"
    )
    assert resolve(directory, catalog.get("inception_v2")).path.name == "model.ckpt-1000"


def test_not_ambiguous(directory, resolve):
    """A state file that names the file that is named like the published one is not ambiguous."""
    (directory / "inception_v1.ckpt").write_bytes(b"weights")
    (directory / "checkpoint").write_text(state("/elsewhere/inception_v1.ckpt"))
    assert resolve(directory).path == directory / "inception_v1.ckpt"


def test_any_directory(tmp_path, resolve):
    """Without a network, a directory must hold exactly one checkpoint of any network."""
    assert refusal(resolve, tmp_path, None).reason == "absent"
    for name in ("inception_v1.ckpt", "inception_v2.ckpt"):
        (tmp_path / name).write_bytes(b"weights")
    assert refusal(resolve, tmp_path, None).reason == "ambiguous"
    assert resolve(tmp_path).path.name == "inception_v1.ckpt"


def test_unnamed_network(resolve):
    """A checkpoint that is not on disk can't be resolved without a network."""
    assert refusal(resolve, " https://127.0.0.1:9/a.tar.gz", None).reason == "unusable"
