"""The same checkpoint gives the same bytes, wherever, whenever and in whatever company it is exported."""

import os
import subprocess
import sys
from pathlib import Path

import program
import pytest
import tensorflow as tf
from checkpoints import write_v2
from stem import INCEPTIONS, STEM, export_stem, stem_in_catalog

from slimhub.export import pipeline
from slimhub.export.checkpoints import synthetic
from slimhub.export.request import ExportRequest
from slimhub.signatures.contract import formats
from slimhub.signatures.module.provenance import files_in

# Its other arguments are the versions to export, in their order.
SCRIPT = """
import sys
from pathlib import Path
from stem import export_stem
print(export_stem(Path(sys.argv[1]), versions=tuple(map(int, sys.argv[2:]))))
"""
CONDITIONS = {
    # The order of versions, and the environment.
    "hash_seed": ("135", dict(PYTHONHASHSEED="7")),
    "order": ("531", dict(PYTHONHASHSEED="0")),
    "kernels": ("53", dict(TF_ENABLE_ONEDNN_OPTS="0", TF_NUM_INTRAOP_THREADS="2")),
    "alone": ("5", dict(LC_ALL="C", TZ="Asia/Tokyo")),
}


@pytest.mark.slow
@pytest.mark.parametrize(("versions", "changes"), CONDITIONS.values(), ids=CONDITIONS)
def test_processes(stem, tmp_path, versions, changes):
    """Processes with other orders, hash seeds, directories, kernels and locales write the same bytes."""
    (tmp_path / "tmp").mkdir()
    paths = dict(PYTHONPATH=os.pathsep.join(sys.path), TMPDIR=str(tmp_path / "tmp"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "some/where", *versions],
        cwd=tmp_path,
        env={**os.environ, **paths, **changes},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = tmp_path / done.stdout.splitlines()[-1]
    assert {path.name for path in found.iterdir()} == set(versions)
    for version in versions:
        assert files_in(found / version) == files_in(stem / version)


def test_one_process(stem, tmp_path):
    """A module has the same bytes whatever the process traced before."""
    tf.function(lambda: tf.zeros([]))()
    for directory in ("first", "second"):
        found = export_stem(tmp_path / directory, versions=(5,))
        assert files_in(found / "5") == files_in(stem / "5")


@pytest.mark.parametrize("write", [synthetic.write_checkpoint, write_v2])
def test_formats_of_checkpoints(stem, tmp_path, write):
    """Checkpoints of both formats give the same bytes, but for the record of where they are from."""
    path = tmp_path / "stem.ckpt"
    with stem_in_catalog():
        write(synthetic.weights(STEM), path)
        request = ExportRequest(
            version=3,
            models=(STEM.name,),
            tasks=("feature_vector",),
            checkpoint=str(path),
            output=tmp_path / "modules",
        )
        [outcome] = pipeline.export(request)
    found, expected = map(files_in, (outcome.directory, stem / "3"))
    assert {one.name for one in set(found) ^ set(expected)} == {formats.PROVENANCE}


def test_command_line(stem, tmp_path):
    """The command line, which is another process, writes the same bytes as `pipeline.export`."""
    cwd = tmp_path / "here"
    cwd.mkdir()
    for version in (1, 5):
        flags = (f"--version={version}", "--checkpoint=synthetic", *program.STEM_ONLY)
        assert program.run(*flags, cwd=cwd, LC_ALL="C", TZ="Asia/Tokyo").code == 0
        found = cwd / "modules/google/imagenet/stem/feature_vector" / str(version)
        assert files_in(found) == files_in(stem / str(version))


@pytest.mark.slow
def test_whole_networks(module, archives, tmp_path):
    """Whole networks, exported in one run in another order, have the bytes that each has alone."""
    version, models = 5, INCEPTIONS[::-1]
    flags = [f"--model={name}" for name in models]
    command = [sys.executable, "-m", "slimhub.export", f"--version={version}"]
    done = subprocess.run(
        [*command, *flags, "--task=feature_vector", f"--checkpoint={archives}", "--output=out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for name in models:
        handle = Path("google/imagenet", name, "feature_vector", str(version))
        found = files_in(tmp_path / "out" / handle)
        assert len(found) == 5
        assert found == files_in(module(name, "feature_vector", version))
