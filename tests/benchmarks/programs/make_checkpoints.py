"""Writes synthetic checkpoints of models into a directory, as V1 files: <model>.ckpt."""

import sys
from pathlib import Path

from slimhub.export import synthetic
from slimhub.models import catalog

directory = Path(sys.argv[1])
for model in map(catalog.get, sys.argv[2:]):
    synthetic.write_checkpoint(synthetic.weights(model), directory / model.archive.member)
