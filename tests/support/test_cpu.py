"""Exports and checks run on the first CPU, whatever device the calling program chose."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

# A second CPU stands for a GPU, as there may be none. Devices of all operations are logged.
PROGRAM = """
import pathlib, sys
import tensorflow as tf
from stem import STEM, stem_in_catalog
from slimhub.export import pipeline as exporter
from slimhub.export.request import ExportRequest
from slimhub.signatures.checks import conformance

[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
tf.debugging.set_log_device_placement(True)

def own():
    print("begin of own", file=sys.stderr, flush=True)
    assert tf.zeros([]).device.endswith("CPU:1")
    print("end of own", file=sys.stderr, flush=True)

with tf.device("/CPU:1"), stem_in_catalog():
    request = ExportRequest(
        version=int(sys.argv[1]), models=(STEM.name,), tasks=("feature_vector",),
        checkpoint="synthetic", output=pathlib.Path(sys.argv[2]),
    )
    for outcome in exporter.export(request):
        assert outcome.error is None, outcome.error
        own()
    report = conformance.check(outcome.directory)
    assert report.ok, report.failed
    own()
"""


@pytest.mark.parametrize("version", [3, 5])
def test_library(tmp_path, version):
    """Library calls run nothing on another device, and leave the caller's choice as it was."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(version), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1] / "helpers",
        env={"PATH": "", "HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "0"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    placed = re.sub("begin of own.*?end of own", "", done.stderr, flags=re.DOTALL)
    assert len(re.findall("device:CPU:0", placed)) > 20
    assert re.findall("device:CPU:1", placed) == []
