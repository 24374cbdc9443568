"""The imports that all processes of `program.py` share: what the programs use, with the stem in the catalog."""

import gc

import quietly  # noqa: F401
from stem import STEMS

from slimhub.models import catalog

catalog.MODELS = (*STEMS.values(), *catalog.MODELS)

import slimhub.export.publishing.publish
import slimhub.export.report
import slimhub.export.verification.processes
import slimhub.signatures.isolation.inferring
import slimhub.signatures.isolation.isolated  # noqa: F401

# So that collecting garbage in a fork copies no memory.
gc.freeze()
