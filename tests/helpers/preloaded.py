"""The imports that all processes of `program.py` share: the program, with the stem in its catalog."""

import gc

import quietly  # noqa: F401
from stem import STEMS

from slimhub.models import catalog

catalog.MODELS = (*STEMS.values(), *catalog.MODELS)

# The flags name all models when they are defined.
import slimhub.export.__main__
import slimhub.export.archive
import slimhub.export.report
import slimhub.signatures.__main__
import slimhub.signatures.checks.conformance  # noqa: F401

# So that collecting garbage in a fork copies no memory.
gc.freeze()
