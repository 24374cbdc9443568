"""slimhub.export.verify_published, against a server on this machine with archives of small networks."""

import contextlib
import functools
import hashlib
import http.server
import importlib
import re
import threading
from pathlib import Path

import program
import pytest
import tensorflow as tf
import tensorflow_hub as hub
from stem import RESNET_STEM, STEM, stem_in_catalog

from slimhub.export.checkpoints import synthetic
from slimhub.signatures.contract import contract
from slimhub.signatures.module.provenance import STATUSES

pytestmark = pytest.mark.xdist_group("verify_published")

COMMAND = "slimhub.export.verify_published"
MODELS = (STEM, RESNET_STEM)
# Names of the classes of one network and of the other, which has no background class.
NAMES = ["background", *(f"kind {index}" for index in range(1, 1001))]


def load():
    """Defines the flags of the command, whose names others have, too."""
    importlib.import_module(COMMAND)


def load_and_disturb():
    """Make the modules of version 3 give other logits, by two millionths more than they may be off."""
    load()
    from slimhub.export import published

    # Two versions are enough to differ.
    del published.contract.VERSIONS[4], published.contract.VERSIONS[5]
    classify = published.classify

    # As one of the same name, it is found in the other process.
    @functools.wraps(classify)
    def disturbed(directory, *how):
        return classify(directory, *how) * (1 + 1.2e-5 * (directory.name == "3"))

    published.classify = disturbed


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(directory: Path):
    """Serve a directory, and yield the server's URL."""
    handler = functools.partial(Handler, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Return the root directory of a server with archives and names of classes."""
    directory = tmp_path_factory.mktemp("files")
    with stem_in_catalog():
        for model in MODELS:
            synthetic.write_archive(model, into=directory)
    (directory / "ImageNetLabels.txt").write_text("\n".join(NAMES))
    return directory


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """A directory with photographs of different kinds and sizes."""
    directory = tmp_path_factory.mktemp("images")
    ramp = tf.cast(tf.linspace(0, 255, 50), tf.uint8)
    wide = tf.stack([tf.broadcast_to(ramp, [40, 50])] * 3, axis=-1)
    (directory / "wide.png").write_bytes(tf.io.encode_png(wide).numpy())
    (directory / "high.JPG").write_bytes(tf.io.encode_jpeg(wide[:, :20]).numpy())
    plain = tf.fill([30, 60, 1], tf.constant(51, tf.uint8))
    (directory / "plain.png").write_bytes(tf.io.encode_png(plain).numpy())
    (directory / "notes.txt").write_text("no photograph")
    return directory


@pytest.fixture
def run(tmp_path, images):
    """A function that runs the command in an empty directory."""
    cwd = tmp_path / "here"
    cwd.mkdir()

    def run(server: str, *flags: str, models=(RESNET_STEM,), before=load) -> program.Done:
        names = [f"--model={model.name}" for model in models]
        arguments = [f"--server={server}", f"--images={images}", "--output=modules", *names, *flags]
        started = program.start(
            *arguments,
            cwd=cwd,
            command=COMMAND,
            before=before,
            NO_PROXY="127.0.0.1",
            XDG_CACHE_HOME=str(tmp_path / "cache"),
        )
        # Twelve modules at most, on a machine that may have other things to do.
        return started.wait(600)

    return run


def test_verified(run, files, tmp_path):
    """Every version and task is exported, each photograph classified, and the archive's sum written."""
    model = RESNET_STEM
    with serving(files) as url:
        done = run(url, models=[model])
    assert (done.code, done.stderr) == (0, "")
    root = tmp_path / "here/modules"
    network = root / model.handle_prefix / model.name
    modules = {path.parent.relative_to(network) for path in root.rglob("saved_model.pb")}
    assert modules == {
        Path(task, str(version)) for task in contract.TASKS for version in contract.VERSIONS
    }
    rows = dict(re.findall(r"(\w+\.(?:png|JPG)) +│ (kind \d+) [\d.]+ %, kind", done.stdout))
    assert rows.keys() == {"wide.png", "high.JPG", "plain.png"}
    logits = hub.KerasLayer(str(network / "classification/5"))(tf.fill([1, 32, 32, 3], 0.2))
    # The first of the names is the background's, which this network does not have.
    assert rows["plain.png"] == f"kind {int(tf.argmax(logits[0])) + 1}"
    [_, _, row] = (root / "archives.md").read_text().splitlines()
    archive = (files / model.archive.name).read_bytes()
    name, pasted, _, difference, weights = row.strip("| ").split(" | ")
    assert name == model.name
    assert pasted == (f'`num_bytes={len(archive)}, sha256="{hashlib.sha256(archive).hexdigest()}"`')
    assert float(difference) <= 1e-5
    # It is not from the official URL.
    assert weights == STATUSES["unverified"]


def test_different_versions(run, files, tmp_path):
    """Versions that give different logits are an error."""
    with serving(files) as url:
        done = run(url, models=[STEM], before=load_and_disturb)
    assert done.code == 1
    assert not (tmp_path / "here/modules/archives.md").exists()


def test_missing_archives(run, tmp_path):
    """A model whose archive is not there does not stop the next."""
    (tmp_path / "ImageNetLabels.txt").write_text("\n".join(NAMES))
    with serving(tmp_path) as url:
        done = run(url, models=MODELS)
    assert done.code == 3
    for model in MODELS:
        assert f"  {url}/{model.archive.name}: HTTP 404" in done.stderr


def test_other_names(run, tmp_path):
    """Names of other classes are refused before anything is exported."""
    (tmp_path / "ImageNetLabels.txt").write_text("daisy\nrose\n")
    with serving(tmp_path) as url:
        done = run(url)
    assert (done.code, f"{url}/ImageNetLabels.txt: " in done.stderr) == (3, True)


@pytest.mark.parametrize("name", ["absent", "empty", "no_photograph"])
def test_bad_images(run, files, tmp_path, name):
    """A directory without photographs is an error of usage, as is a file that is none."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "no_photograph").mkdir()
    (tmp_path / "no_photograph/a.png").write_bytes(b"none")
    with serving(files) as url:
        done = run(url, f"--images={tmp_path / name}")
    assert done.code == 2
    assert f"{tmp_path / name}" in done.stderr
