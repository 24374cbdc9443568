"""All checks, as data: ids, which are public, when each one runs, and what it holds a module to.

Knows nothing of TensorFlow, so that the list is printed at once.
"""

import dataclasses

from slimhub.signatures.contract import contract, formats

STATIC, LOAD, RUN = STAGES = ("static", "load", "run")

_TF1, _TF2 = formats.TF1_HUB.name, formats.TF2_SAVED_MODEL.name
FORMATS = (_TF1, _TF2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """A check of modules.

    Attributes:
      id: as in reports, in JSON and in tests.
      stage: `static` reads what is on disk, `load` loads the module, `run` runs it.
      formats: names of the formats whose modules it belongs to.
      levels: those of `contract.LEVELS` at which modules are held to it.
      description: what a module keeps that passes it, in a sentence.
    """

    id: str
    stage: str
    formats: tuple[str, ...]
    levels: tuple[str, ...]
    description: str


_DROPOUT = "In training, dropout acts on what it should; nothing else is random."
# By stage and id, in the order in which they run, and in which reports have them.
_DESCRIPTIONS = {
    STATIC: {
        "readable": "It is a module: its graphs, its variables and its provenance can be read.",
        "files": "It consists of the promised files only.",
        "checksums": "Every file has the size and the SHA-256 that the provenance records.",
        "provenance": "Its provenance agrees with what it is expected to be.",
        "tag-sets": "The meta graphs have the promised tag sets, each once, in order.",
        "signature-names": "Each tag set has the promised signatures and no others.",
        "signature-inputs": "Each signature's inputs have the promised keys, dtypes and shapes.",
        "signature-outputs": "Each signature's outputs have the promised keys, dtypes and shapes.",
        "default-output": "The signature that stands for the module's task has the one output of that.",
        "operations": "Nothing runs but operations of inference and, for training, of batch-norm updates and dropout; in modules of others, nothing that does harm.",
        "devices-and-paths": "No graph names a device or a local path.",
        "labels": "The classes are named, a line each, where that is promised.",
        "parameters": "There are as many parameters on disk as the network has.",
        "finite-variables": "Every value of every variable on disk is finite.",
        "format-marker": "tfhub_module.pb marks the TF1 Hub format.",
        "tensor-names": "Tensors have the names that scripts of users know.",
        "signature-feeds": "Every output of a signature depends on its images, and on nothing else that has to be fed.",
        "supported-collections": "There are only collections that the TF Hub library accepts.",
        "update-ops": "Moving averages are updated under `train` only, by two operations a batch norm.",
        "attachment": "The default image size is attached where the version promises it, and only there.",
        "attributes": "TF 1.15 knows the attributes of all operations, and there are no functions.",
        "variables": "The variables on disk are those of the graphs, as many as promised; moving averages are not trainable.",
        "calls": "What is loaded can be called as promised: arguments, their defaults, and what comes out.",
        "assets": "What is loaded has the file that names the classes, where that is promised, as `labels`.",
        "networks": "It has the network once for inference and once for training, with every batch norm and its updates.",
        "dropout": _DROPOUT,
        "regularization-losses": "There is one L2 loss for each regularized kernel, of that kernel alone.",
    },
    LOAD: {
        # While the module is loaded in no other way: large ones take much memory.
        "serving": "Loaded into a session, as TensorFlow Serving does, it has the variables that are on disk.",
        "loads": "It can be loaded in every promised mode, with its variables.",
    },
    RUN: {
        "output-shapes": "The arrays of every output have the promised dtype and shape.",
        "finite-outputs": "Every output of every signature is finite.",
        "dropout": _DROPOUT,
        "batch-independence": "At inference, what comes out for an image does not depend on the other images of its batch.",
        "image-sizes": "It takes images of any size from the smallest on, or of its fixed size only.",
        "calls-agree": "All signatures and calls of a mode give the same tensors, called or in a session, and move moving averages alike.",
        "logits": "Classification gives logits, and no probabilities.",
        "loss-values": "Each loss is the weight decay times half the squared norm of its kernel.",
        "image-range": "Images in [0, 1] are rescaled in the graph to what the network was trained on.",
        "moving-averages": "Training moves moving averages by (1 - momentum) * (batch statistic - old), once; nothing else moves.",
        "inference-statistics": "Inference normalizes by the moving averages that training moves: with the statistics of a batch, it is training on it.",
    },
}
# Those of modules of one format only.
_ONLY: dict[str, dict[str, tuple[str, ...]]] = {
    _TF1: {
        STATIC: (
            *("format-marker", "tensor-names", "signature-feeds", "supported-collections"),
            *("update-ops", "attachment", "attributes", "dropout"),
        ),
    },
    _TF2: {
        STATIC: ("calls", "assets", "networks"),
        LOAD: ("serving",),
        RUN: ("dropout", "calls-agree", "inference-statistics"),
    },
}


# What only modules of slimhub's own are held to,
_EXACT = frozenset().union(
    ("checksums", "provenance", "parameters", "attributes", "assets", "networks")
)
# and what belongs to a network and a version that are known.
_OF_A_NETWORK = frozenset().union(
    ("tensor-names", "labels", "image-range", "regularization-losses"),
    ("serving", "calls-agree", "inference-statistics"),
)


def _levels(id: str) -> tuple[str, ...]:
    if id in _EXACT:
        return (contract.EXACT,)
    return (contract.EXACT, contract.DROP_IN) if id in _OF_A_NETWORK else contract.LEVELS


def _formats(stage: str, id: str) -> tuple[str, ...]:
    only = tuple(name for name, ids in _ONLY.items() if id in ids.get(stage, ()))
    return only or FORMATS


CHECKS = tuple(
    Check(
        id=id,
        stage=stage,
        formats=_formats(stage, id),
        levels=_levels(id),
        description=description,
    )
    for stage, descriptions in _DESCRIPTIONS.items()
    for id, description in descriptions.items()
)

# Each once: a check may be carried out at one stage in one format, and at another in the other.
IDS = tuple(dict.fromkeys(check.id for check in CHECKS))


def select(format: formats.Format | None, *stages: str) -> tuple[Check, ...]:
    """Return the checks of a format and of these stages, or of all, in their order.

    Args:
      format: None for the checks that all formats have.
      stages: some of `STAGES`; none for all of them.
    """
    names = set(FORMATS) if format is None else {format.name}
    return tuple(
        check
        for check in CHECKS
        if names <= set(check.formats) and check.stage in (stages or STAGES)
    )
