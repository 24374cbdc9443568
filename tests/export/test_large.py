"""Exports of large networks, with small networks and limits of a few bytes."""

import os
import shutil

import numpy as np
import pytest
from stem import STEM, rewrite_variables, stem_in_catalog

from slimhub.export import pipeline
from slimhub.export.errors import CheckError
from slimhub.export.request import ExportRequest
from slimhub.export.verification import processes
from slimhub.signatures.checks import conformance
from slimhub.signatures.module import execution, module
from slimhub.signatures.module.module import Module

# Of the stem: one of four dimensions, and one of a single dimension.
KERNEL = "InceptionV1/Conv2d_2c_3x3/weights"
BETA = "InceptionV1/Conv2d_2c_3x3/BatchNorm/beta"


@pytest.mark.parametrize("large", [False, True])
def test_without_the_other_process(tmp_path, monkeypatch, large):
    """A large checkpoint is exported without the other process, which a small one needs."""
    monkeypatch.setattr(pipeline, "_LARGE", 4 if large else 1 << 40)
    request = ExportRequest(
        version=3,
        models=(STEM.name,),
        tasks=("feature_vector",),
        checkpoint="synthetic",
        output=tmp_path / "modules",
    )
    with stem_in_catalog(), processes.ForkedProcess() as executor:
        with pytest.raises(CheckError):
            processes.start(executor, os._exit, 1)()
        [outcome] = pipeline.export(request, executor=executor)
    assert isinstance(outcome.error, CheckError) != large
    assert (outcome.directory is not None) == large


@pytest.mark.parametrize("version", ["3", "5"])
def test_checks(stem, monkeypatch, version):
    """A module passes its checks when its variables are read one at a time."""
    monkeypatch.setattr(module, "_PORTION", 4)
    assert conformance.check(stem / version).ok


@pytest.mark.parametrize(
    ("name", "place", "number"),
    [(KERNEL, 0, 2016), (KERNEL, 20000, np.nan), (BETA, -1, 2016)],
)
def test_differing(stem, tmp_path, monkeypatch, name, place, number):
    """Only the variable that differs in one number is reported, wherever that number is."""
    monkeypatch.setattr(module, "_PORTION", 4)
    changed = Module(shutil.copytree(stem / "3", tmp_path / "3"))
    rewrite_variables(changed.directory, lambda arrays: arrays[name].put(place, number))
    assert differing(changed, stem / "3") == [name]
    # NaN in the same place, too.
    assert differing(changed, changed.directory) == []


def differing(disk: Module, directory) -> list[str]:
    """Return the variables on disk that differ from those of a module in a directory."""
    with execution.load(directory, tags=()) as graph:
        variables = {variable.op.name: variable for variable in graph.collection("variables")}
        return [
            name
            for portion in disk.portions(variables)
            for name in graph.differing(portion, variables)
        ]


def test_same():
    """Arrays are the same if they have the same shape and numbers; NaN equals NaN."""
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    array[1, 1] = np.nan
    assert execution.same(array, array.copy())
    for place in range(array.size):
        changed = array.copy()
        changed.put(place, -1)
        assert not execution.same(array, changed)
    for other in (array.reshape(4, 3), array.ravel(), array[np.newaxis], array[:2]):
        assert not execution.same(array, other)
    assert execution.same(array[:0], array[:0])
