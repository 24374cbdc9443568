"""What a module claims to be is looked up, and the module is held to that."""

import dataclasses
import json
import shutil

import pytest
from stem import STEM, broken_copy
from surgery import BETA

from slimhub.signatures.checks import conformance
from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.contract import contract, formats, network
from slimhub.signatures.contract.network import TensorSpec
from slimhub.signatures.module.module import Module


def problems(directory, **held_to):
    return {found.id: found.problems for found in conformance.check(directory, **held_to).failed}


def changed_variable(name, **changes):
    """Return a change of a variable of the small network."""
    variables = network.get(STEM.name).variables
    variable = dataclasses.replace(variables[name], **changes)
    return dict(variables={**variables, name: variable})


# Changes of the contract that a good module is held to instead of its own, and what fails then.
OTHER_NETWORKS = {
    "shape": (changed_variable(BETA, shape=(65,)), {"variables", "parameters"}),
    "trainable": (changed_variable(BETA, trainable=False), {"variables"}),
    "regularized": (changed_variable(BETA, regularized=True), {"regularization-losses"}),
    "image_size": (dict(image_size=(64, 64)), {"attachment"}),
    "weight_decay": (dict(weight_decay=1e-4), {"loss-values"}),
    "rescale": (dict(input_scale=1.0), {"image-range"}),
    "end_points": (dict(end_points={}), {"signature-outputs"}),
    "features": (
        dict(feature_vector=TensorSpec(name="hub_input/Sub:0", shape=(None, 7))),
        {"signature-outputs", "default-output", "tensor-names", "output-shapes"},
    ),
}


def held_to(**changes):
    """Return the promise of version 3 of the small module, with changes of its network."""
    changed = dataclasses.replace(network.get(STEM.name), **changes)
    return contract.promise(version=3, task="feature_vector", network=changed)


@pytest.mark.parametrize(("changes", "failed"), OTHER_NETWORKS.values(), ids=OTHER_NETWORKS)
def test_other_network(stem, changes, failed):
    """A module is held to the promise that is given, and not to what it says of itself."""
    found = problems(stem / "3", promise=held_to(**changes))
    assert found.keys() == {"provenance", *failed}
    [name] = changes
    [difference] = found["provenance"]
    assert difference.split(": ")[0] == f"network.{name}"


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_claim(stem, tmp_path, version):
    """A network of three layers that claims to be Inception V1 is held to that, and refused."""
    handle = f"google/imagenet/inception_v1/feature_vector/{version}"
    claims = broken_copy(
        stem / str(version),
        tmp_path / str(version),
        lambda m: m.record.update(model="inception_v1", handle=handle),
    )
    report = conformance.check(claims)
    assert report.handle == handle
    of_outputs = {"signature-outputs", "default-output"} if version != 4 else {"calls"}
    assert {
        *of_outputs,
        "parameters",
        "variables",
        "regularization-losses",
        "output-shapes",
    } <= {result.id for result in report.failed}


@pytest.mark.parametrize("version", contract.VERSIONS)
@pytest.mark.parametrize("task", contract.TASKS)
def test_older_provenance(family, tmp_path, task, version):
    """A module of an earlier release, whose provenance describes its network, passes every check."""
    older = tmp_path / str(version)
    shutil.copytree(family(STEM.name, task, version), older)
    record = json.loads((older / formats.PROVENANCE).read_text())
    num_classes = record.pop("num_classes")
    logits = {"name": "InceptionV1/Logits/SpatialSqueeze:0", "shape": [None, num_classes]}
    interface = {"scope": "InceptionV1", "logits": logits if num_classes else None}
    (older / formats.PROVENANCE).write_text(
        json.dumps({**record, "interface": interface, "sha256": "0"})
    )
    assert conformance.check(older).ok


def test_unknown_network(stem, tmp_path):
    """A module of a network without a contract, as of a later release, is not read."""
    unknown = broken_copy(
        stem / "3", tmp_path / "3", lambda m: m.record.update(model="inception_v9")
    )
    [readable] = conformance.check(unknown).failed
    assert readable.id == "readable"
    [problem] = readable.problems
    assert problem.startswith(f"{formats.PROVENANCE} makes no sense: model: ")


def test_other_version(stem):
    """A module of version 3 does not keep the promise of version 1."""
    record = Module(stem / "3").provenance
    found = problems(stem / "3", promise=dataclasses.replace(record, contract=1).promise())
    assert found.keys() == {
        "provenance",
        "signature-names",
        "signature-inputs",
        "signature-outputs",
        "attachment",
        "image-sizes",
        "moving-averages",
    }
    fields = [problem.split(": ")[0] for problem in found["provenance"]]
    assert fields == ["version", "network.end_points"]


@pytest.mark.parametrize(("version", "claimed"), [(5, 4), (4, 5)])
def test_signatures(stem, tmp_path, version, claimed):
    """Versions 4 and 5 differ in their signatures alone; a drop-in may have more of them, not fewer."""
    handle = f"google/imagenet/stem/feature_vector/{claimed}"
    record = {"version": claimed, "contract": claimed, "handle": handle}
    claims = broken_copy(
        stem / str(version), tmp_path / str(claimed), lambda m: m.record.update(record)
    )
    assert "signature-names" in problems(claims)
    as_drop_in = problems(claims, expectation=Expectation(like=handle))
    assert "signature-names" in as_drop_in if claimed == 5 else not as_drop_in
