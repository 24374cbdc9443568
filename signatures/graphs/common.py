"""The contract of the common image signatures, for a module of an unknown network.

TF Hub documented them as "common signatures for images" (TF1 Hub format) and "common SavedModel APIs
for images" (TensorFlow 2): tensorflow.org/hub/common_signatures/images, .../common_saved_model_apis/images.
"""

import re
from collections.abc import Sequence

from google.protobuf import message

from slimhub.signatures.contract import contract, formats
from slimhub.signatures.contract.network import NetworkContract, TensorSpec
from slimhub.signatures.module import hub_protos
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module, collection
from slimhub.signatures.module.objects import Objects, to_python

# Where a module takes any size, and names none.
DEFAULT_SIZE = (224, 224)
_IMAGES = re.compile(r"float32 \[[^,]+, (\?|[0-9]+), (\?|[0-9]+), 3\]")
# Checks create images of these sizes.
_MOST_PIXELS = 1024


def common_contract(module: Module, task: str) -> contract.Contract:
    """Return what a module is held to whose network is unknown; its size and its modes are its own.

    Raises:
      UnreadableError: the module can't be read.
    """
    if formats.FORMAT_MARKER in module.files:
        return _tf1(module, task)
    return _tf2(module, task)


def _tf1(module: Module, task: str) -> contract.Contract:
    meta_graph = module.meta_graphs.get(())
    signatures = {} if meta_graph is None else meta_graph.signature_def
    size, attached = None, None
    if "default" in signatures and "images" in signatures["default"].inputs:
        dims = signatures["default"].inputs["images"].tensor_shape.dim
        size = _size([dim.size for dim in dims[1:3]])
    if meta_graph is not None:
        attached = attached_size(meta_graph)
    images = TensorSpec(name="", shape=(None, *(size or (None, None)), 3))
    outputs = {"default": _output(task)}
    signature = {"inputs": {"images": images}, "outputs": outputs}
    modes = tuple(
        contract.Mode(
            label=rule.label,
            tags=rule.tags,
            training=rule.training,
            signatures=(
                contract.Signature(name="default", **signature),
                contract.Signature(name=f"image_{task}", **signature),
            ),
            calls=(),
        )
        for rule in formats.TF1_HUB.modes
        # Not every module can be trained.
        if rule.tags in module.meta_graphs or not rule.training
    )
    return _contract(formats.TF1_HUB, task, images, attached or size, modes, attached)


def _tf2(module: Module, task: str) -> contract.Contract:
    [meta_graph, *_] = module.saved_model.meta_graphs
    if not meta_graph.object_graph_def.nodes:
        raise UnreadableError(
            f"expected {formats.FORMAT_MARKER}, as in the {formats.TF1_HUB.name} format, or an object to call, "
            "as TensorFlow 2 saves; got neither"
        )
    function = Objects(meta_graph).function("__call__")
    arguments: Sequence[str] = ()
    # Of each trace; None if it takes any.
    sizes: list[tuple[int, int] | None] = []
    if function is not None:
        spec = to_python(function.function_spec.fullargspec)
        arguments = spec.get("args") or () if isinstance(spec, dict) else ()
        for _, inputs, _ in Objects(meta_graph).traces(function):
            if inputs and (match := _IMAGES.fullmatch(str(inputs[0]))):
                sides = [-1 if side == "?" else int(side) for side in match.groups()]
                sizes.append(_size(sides))
    size = next(filter(None, sizes), None)
    fixed = (None, None) if size is None or None in sizes else size
    images = TensorSpec(name="", shape=(None, *fixed, 3))
    trains = "training" in arguments
    modes = tuple(
        contract.Mode(
            label=rule.label,
            tags=rule.tags,
            training=rule.training,
            signatures=(),
            calls=(
                contract.Call(
                    function="__call__",
                    defaults={"training": False} if trains else {},
                    arguments={"training": rule.training} if trains else {},
                    outputs={"default": _output(task)},
                ),
            ),
        )
        for rule in formats.TF2_SAVED_MODEL.modes
        if trains or not rule.training
    )
    return _contract(formats.TF2_SAVED_MODEL, task, images, size, modes, None)


def _contract(format, task, images, size, modes, attached) -> contract.Contract:
    size = size or DEFAULT_SIZE
    vector = _output("feature_vector")
    logits = _output("classification") if task == "classification" else None
    return contract.Contract(
        level=contract.COMMON,
        version=None,
        task=task,
        format=format,
        network=NetworkContract(
            scope="",
            image_size=size,
            # Smaller ones may be too small for it.
            min_image_size=size,
            input_scale=1.0,
            input_offsets=(0.0,),
            batch_norm_decay=None,
            weight_decay=0.0,
            head=None,
            random_in_training=() if logits is None else (logits.name,),
            feature_vector=vector,
            logits=logits,
            predictions=None,
            end_points={},
            variables={},
        ),
        images=images,
        momentum=None,
        momentum_input=None,
        modes=modes,
        image_module_info=attached,
        labels=None,
    )


def _output(task: str) -> TensorSpec:
    """Return the type of an output, whose length is the module's own."""
    return TensorSpec(name=task, shape=(None, None))


def _size(sides: list[int]) -> tuple[int, int] | None:
    """Return a height and a width, if both are known and the checks can make such images."""
    if len(sides) == 2 and all(1 <= side <= _MOST_PIXELS for side in sides):
        return sides[0], sides[1]
    return None


def attached_size(meta_graph) -> tuple[int, int] | None:
    """Return the attached image size, if there is one that makes sense; `attachment` says why not."""
    for value in collection(meta_graph, formats.ATTACHMENTS).bytes_list.value:
        try:
            attachment = hub_protos.ModuleAttachment.FromString(value)
            if attachment.key == hub_protos.IMAGE_MODULE_INFO:
                size = hub_protos.ImageModuleInfo.FromString(attachment.value).default_image_size
                return _size([size.height, size.width])
        except message.DecodeError:
            return None
    return None
