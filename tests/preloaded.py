"""What the processes of `program.py` need, imported once for all: the program, and the stem in its catalog."""

import gc

import quietly  # noqa: F401
import tf_slim
from stem import BASES, STEMS

from slimhub.models import catalog

for name, base in BASES.items():
    setattr(tf_slim.nets, name, base)
catalog.MODELS = (*STEMS.values(), *catalog.MODELS)
catalog._BY_NAME = catalog._by_name(catalog.MODELS)

# The flags name all models when they are defined.
import slimhub.export.__main__
import slimhub.export.archive
import slimhub.export.report
import slimhub.signatures.__main__
import slimhub.signatures.conformance  # noqa: F401

# So that collecting garbage in a fork copies no memory.
gc.freeze()
