"""The documentation of a module, printed from the catalog, the contract and its own provenance."""

import hashlib
from collections.abc import Iterable, Mapping

from slimhub.export.hub import portraits, rendering, snippets
from slimhub.export.hub.portrait import Portrait
from slimhub.export.hub.shelf import Entry
from slimhub.models import catalog
from slimhub.signatures import contract, formats, labels
from slimhub.signatures.contract import Promise
from slimhub.signatures.directory import Directory, UnreadableError
from slimhub.signatures.interface import TensorSpec

# Where a hub serves pictures: no handle begins like this.
PICTURES = "/~/pictures"


def markdown(
    entry: Entry,
    *,
    url: str,
    links: str | None = None,
    siblings: Iterable[str] = (),
    portrait: Portrait | str,
) -> str:
    """The page of a module, in Markdown (CommonMark, with tables).

    Args:
      entry: the module.
      url: of the hub, without a slash at its end.
      links: what links and pictures begin with, if not with that.
      siblings: handles of other modules of the same network there.
      portrait: its pictures, and the shapes of its end points; or why there are none.
    """
    record, promise = entry.record, entry.record.promise()
    where = f"{url}/{entry.handle}"
    try:
        model = catalog.get(record.model)
    except KeyError:
        # Of another release, which knew more networks.
        model = None
    names = _names(entry, promise)
    warning, _, meaning = record.weights.partition(": ")
    drawn = isinstance(portrait, Portrait)
    return rendering.render(
        "module.md.jinja",
        entry=entry,
        record=record,
        promise=promise,
        interface=promise.interface,
        model=model,
        warning=warning if meaning else None,
        meaning=meaning,
        names=names
        and [f"{index:>{len(str(len(names)))}}  {one}" for index, one in enumerate(names)],
        where=where,
        links=url if links is None else links,
        pictures=f"{PICTURES}/{portraits.name_of(entry)}",
        siblings=siblings,
        portrait=portrait if drawn else None,
        no_portrait=None if drawn else portrait,
        usage=snippets.usage(promise, url=where),
        training=snippets.training(promise, url=where),
        signatures=_signatures(promise),
        outputs=_outputs(promise),
        calls=[call for mode in promise.modes for call in mode.calls],
        versions=contract.VERSIONS,
        in_training=_in_training(promise),
        dropout_inside=_dropout_inside(promise),
        series=record.version != record.contract,
        provenance=formats.PROVENANCE,
    )


def siblings(entry: Entry, handles: Iterable[str]) -> list[str]:
    """Handles of the other modules of the same network: they differ in the task and the version only."""
    *network, _, _ = entry.handle.split("/")
    if network[-1:] != [entry.record.model]:
        return []
    return [one for one in handles if one.split("/")[:-2] == network and one != entry.handle]


def _names(entry: Entry, promise: Promise) -> tuple[str, ...]:
    """Of the classes, if the module has a file of them that is as it was recorded, and one indeed."""
    recorded = {file.name: file.sha256 for file in entry.record.files}
    try:
        if promise.labels in recorded:
            content = Directory(entry.directory).read(promise.labels, most=labels.MOST_BYTES)
            if hashlib.sha256(content).hexdigest() == recorded[promise.labels]:
                return labels.parse(content)
    except (UnreadableError, ValueError):
        # Replaced meanwhile, or a stranger's; `make check` tells which.
        pass
    return ()


def _in_training(promise: Promise) -> str:
    """What is then another than at inference; empty if nothing is."""
    interface, changes = promise.interface, []
    if promise.momentum is not None:
        moves = " and moves its moving averages" if promise.format.callable else ""
        changes.append(f"batch norm uses the statistics of the batch{moves}")
    places = ["inside the network"] if _dropout_inside(promise) else []
    if interface.logits is not None and interface.logits.name in interface.behind_dropout:
        places.append("before the classification layer")
    if places:
        changes.append(f"dropout is active {' and '.join(places)}")
    return "; ".join(changes)


def _dropout_inside(promise: Promise) -> bool:
    """Whether dropout acts before the features in training, as it does between VGG's dense layers."""
    return promise.interface.feature_vector.name in promise.interface.behind_dropout


def _signatures(promise: Promise) -> list[tuple[contract.Signature, str]]:
    """Each signature, and the modes that it is in."""
    labels: dict[str, list[str]] = {}
    found: dict[str, contract.Signature] = {}
    for mode in promise.modes:
        for signature in mode.signatures:
            labels.setdefault(signature.name, []).append(mode.label)
            found[signature.name] = signature
    return [(found[name], ", ".join(labels[name])) for name in found]


def _outputs(promise: Promise) -> list[tuple[list[str], Mapping[str, TensorSpec]]]:
    """Names of signatures that have the same outputs, and these."""
    groups: list[tuple[list[str], Mapping[str, TensorSpec]]] = []
    for signature, _ in _signatures(promise):
        for names, outputs in groups:
            if outputs == signature.outputs:
                names.append(signature.name)
                break
        else:
            groups.append(([signature.name], signature.outputs))
    return groups
