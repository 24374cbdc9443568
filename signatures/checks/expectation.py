"""Find the contract that a module is to be held to: that of its own provenance, or of what somebody names."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from slimhub.signatures.contract import contract as contracts
from slimhub.signatures.contract import formats, handles, network, versions
from slimhub.signatures.contract.handles import Handle
from slimhub.signatures.contract.network import NetworkContract
from slimhub.signatures.module import class_names

if TYPE_CHECKING:
    from slimhub.signatures.module.module import Module

# Where class names may be, in a module of either format.
_LABELS = (formats.TF1_HUB.labels, formats.TF2_SAVED_MODEL.labels)
# The interfaces that `like` may name in place of a handle, and their tasks.
INTERFACES = {f"image_{task}": task for task in contracts.TASKS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expectation:
    """The choice of what a module is held to.

    Attributes:
      like: a handle, `google/imagenet/inception_v1/classification/3`, for which the module is to be a
        drop-in; or one of `INTERFACES`; None for what its own provenance claims.
      contract: file of the network's contract; None looks it up by the network's name.
      classes: number of classes; None for that of the module's own class names or, without any, of the
        network. Only with a handle.
    """

    like: str | None = None
    contract: Path | None = None
    classes: int | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError`, which says what makes no sense, or `OSError` if the file can't be read."""
        _ = self.network
        if self.classes is not None and self.classes < 1:
            raise ValueError(f"classes: expected at least 1, got {self.classes}")
        if self.like is None:
            if self.classes is not None:
                raise ValueError("classes: expected a handle to be like, got none")
        elif self.like in INTERFACES:
            if self.classes is not None or self.contract is not None:
                raise ValueError(
                    f"{self.like} is an interface of any network and number of classes"
                )
        else:
            _ = self._handle

    @functools.cached_property
    def network(self) -> NetworkContract | None:
        """The contract of the network, if it is known without the module."""
        if self.contract is not None:
            return network.load(self.contract)
        if self.like is None or self.like in INTERFACES:
            return None
        return network.get(self._handle.model)

    @property
    def level(self) -> str:
        """One of `contract.LEVELS`."""
        if self.like is None:
            return contracts.EXACT
        return contracts.COMMON if self.like in INTERFACES else contracts.DROP_IN

    @functools.cached_property
    def _handle(self) -> Handle:
        try:
            handle = handles.parse(self.like or "")
        except ValueError as error:
            raise ValueError(f"{error}; it may also be {' or '.join(INTERFACES)}") from error
        networks = (handle.model,) if self.contract is not None else network.names()
        for what, value, known in (
            ("network", handle.model, networks),
            ("task", handle.task, contracts.TASKS),
            ("version", handle.version, versions.below(handle.prefix)),
        ):
            if value not in known:
                expected = ", ".join(map(str, known))
                raise ValueError(f"{self.like}: expected a {what} of {expected}, got {value}")
        return handle

    def promise(self, module: "Module") -> contracts.Contract:
        """Return the contract that a module is held to. Raise `UnreadableError`."""
        # TensorFlow, which whoever says what is expected need not wait for.
        from slimhub.signatures.graphs.common import common_contract

        if self.like is None:
            return module.promise(frozen=self.network)
        if self.like in INTERFACES:
            return common_contract(module, INTERFACES[self.like])
        assert self.network is not None
        path = next((path for path in _LABELS if path in module.files), None)
        promise = contracts.promise(
            version=self._handle.version,
            prefix=self._handle.prefix,
            task=self._handle.task,
            network=self.network,
            num_classes=self.classes or _count_classes(module, path),
            level=self.level,
        )
        return dataclasses.replace(
            promise, labels=path if self._handle.task == "classification" else None
        )


def _count_classes(module: "Module", path: str | None) -> int | None:
    """Return how many classes a file names; None if there is none, or if `labels` will say what is wrong."""
    if path is None:
        return None
    try:
        return len(class_names.parse(module.read(path, most=class_names.MOST_BYTES)))
    except ValueError:
        return None
