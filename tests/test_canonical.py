"""export/canonical.py: what TensorFlow 2 saves becomes the same bytes every time."""

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from stem import STEM, stem_in_catalog
from tensorflow.core.protobuf import saved_model_pb2

from slimhub.export import exporter
from slimhub.export.request import ExportRequest

SCRIPT = """
import sys
from pathlib import Path
from stem import export_stem
print(export_stem(Path(sys.argv[1])))
"""


def sums(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture
def functions(stem):
    content = (stem / "5" / "saved_model.pb").read_bytes()
    [meta_graph] = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return meta_graph.graph_def.library.function


def test_same_bytes_in_one_process(stem, tmp_path):
    """However much was traced before in a process, and wherever it goes, a module has the same bytes."""
    tf.function(lambda: tf.zeros([]))()
    request = ExportRequest(
        version=5,
        models=(STEM.name,),
        tasks=("feature_vector",),
        checkpoint="synthetic",
        output=tmp_path / "first",
    )
    with stem_in_catalog():
        outcomes = [
            *exporter.export(request),
            *exporter.export(dataclasses.replace(request, output=tmp_path / "other")),
        ]
    assert [sums(outcome.directory) for outcome in outcomes] == [sums(stem / "5")] * 2


def test_same_bytes_in_another_process(stem, tmp_path):
    """Another process, in another directory, with another hash seed, writes the same bytes."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "modules"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.path.dirname(__file__)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = Path(done.stdout.splitlines()[-1])
    for version in ("1", "3", "5"):
        assert sums(found / version) == sums(stem / version)


def test_numbers_of_functions(functions):
    """Functions are numbered from zero, in their order."""
    numbers = [int(function.signature.name.rpartition("_")[2]) for function in functions]
    assert numbers == list(range(len(functions)))


def test_nothing_of_this_process(functions):
    """No argument of a function carries the number of a tensor of the process that wrote it."""
    names = {
        attr.attr["_user_specified_name"].s.decode()
        for function in functions
        for attr in function.arg_attr.values()
        if "_user_specified_name" in attr.attr
    }
    assert {"images", "inputs", "batch_norm_momentum"} <= names
    assert not [name for name in names if name.isdigit()]
