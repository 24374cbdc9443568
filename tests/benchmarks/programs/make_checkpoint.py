"""Writes a synthetic checkpoint of a model, as a V1 file.

Usage: python make_checkpoint.py MODEL FILE
"""

import sys
from pathlib import Path

from slimhub.export.checkpoints import synthetic
from slimhub.models import catalog

name, path = sys.argv[1:]
synthetic.write_checkpoint(synthetic.weights(catalog.get(name)), Path(path))
