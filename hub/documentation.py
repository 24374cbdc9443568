"""The page of a module in Markdown, from its provenance, its contract and the catalog."""

import hashlib
from collections.abc import Iterable

from slimhub.hub import markup, snippets
from slimhub.hub.index import Entry
from slimhub.hub.previews import cache
from slimhub.models import catalog
from slimhub.signatures.contract import contract, formats, versions
from slimhub.signatures.contract.contract import Contract
from slimhub.signatures.contract.network import TensorSpec
from slimhub.signatures.module import class_names
from slimhub.signatures.module.directory import Directory, UnreadableError
from slimhub.signatures.module.provenance import PUBLISHED

# Path of the pictures on a hub; no handle begins like this.
PICTURES = "/~/pictures"


def markdown(
    entry: Entry,
    *,
    url: str,
    links: str | None = None,
    siblings: Iterable[str] = (),
    preview: dict | str,
) -> str:
    """Return the page of a module in Markdown (CommonMark with tables).

    Args:
      entry: the module.
      url: URL of the hub, without a slash at its end.
      links: the beginning of links and pictures, if it is not that URL.
      siblings: handles of other modules of the same network there.
      preview: the record of its preview; or why there is none.
    """
    record, promise = entry.record, entry.promise
    module_url = f"{url}/{entry.handle}"
    try:
        model = catalog.get(record.model)
    except KeyError:
        # Somebody's own, whose contract is in one of `network.FOLDERS`.
        model = None
    names = _class_names(entry, promise)
    digits = len(str(len(names)))
    warning, _, meaning = record.weights.partition(": ")
    return markup.render(
        "module.md.jinja",
        entry=entry,
        record=record,
        promise=promise,
        network=promise.network,
        model=model,
        warning=warning if meaning else None,
        meaning=meaning,
        published=record.status in PUBLISHED,
        class_names=[f"{index:>{digits}}  {name}" for index, name in enumerate(names)],
        module_url=module_url,
        links=url if links is None else links,
        pictures=f"{PICTURES}/{cache.name_of(entry)}",
        siblings=siblings,
        preview=preview,
        usage=snippets.usage(promise, url=module_url),
        training=snippets.training(promise, url=module_url),
        signatures=_signatures(promise),
        outputs=_outputs(promise),
        calls=[call for mode in promise.modes for call in mode.calls],
        versions=versions.below(record.prefix),
        in_training=_in_training(promise),
        dropout_inside=_dropout_inside(promise),
        series=record.version != record.contract,
        provenance=formats.PROVENANCE,
    )


def siblings(entry: Entry, handles: Iterable[str]) -> list[str]:
    """Return those handles that differ from a module's in task or version only."""
    *network, _, _ = entry.handle.split("/")
    if network[-1:] != [entry.record.model]:
        return []
    return [h for h in handles if h.split("/")[:-2] == network and h != entry.handle]


def _class_names(entry: Entry, promise: Contract) -> tuple[str, ...]:
    """Return the names of the classes, if the module has a valid file of them."""
    recorded = {file.name: file.sha256 for file in entry.record.files}
    try:
        if promise.labels in recorded:
            content = Directory(entry.directory).read(promise.labels, most=class_names.MOST_BYTES)
            if hashlib.sha256(content).hexdigest() == recorded[promise.labels]:
                return class_names.parse(content)
    except (UnreadableError, ValueError):
        # It was replaced meanwhile, or is malformed, which `make check` reports.
        pass
    return ()


def _in_training(promise: Contract) -> str:
    """Return how training differs from inference; empty if it does not."""
    network, changes = promise.network, []
    if promise.momentum is not None:
        moves = " and moves its moving averages" if promise.format.callable else ""
        changes.append(f"batch norm uses the statistics of the batch{moves}")
    places = ["inside the network"] if _dropout_inside(promise) else []
    if network.logits is not None and network.logits.name in network.random_in_training:
        places.append("before the classification layer")
    if places:
        changes.append(f"dropout is active {' and '.join(places)}")
    return "; ".join(changes)


def _dropout_inside(promise: Contract) -> bool:
    """Return whether dropout acts before the features in training, as between VGG's dense layers."""
    return promise.network.feature_vector.name in promise.network.random_in_training


def _signatures(promise: Contract) -> list[tuple[contract.Signature, str]]:
    """Return each signature, and the modes that have it."""
    labels: dict[str, list[str]] = {}
    signatures: dict[str, contract.Signature] = {}
    for mode in promise.modes:
        for signature in mode.signatures:
            labels.setdefault(signature.name, []).append(mode.label)
            signatures[signature.name] = signature
    return [(signature, ", ".join(labels[name])) for name, signature in signatures.items()]


def _outputs(promise: Contract) -> dict[tuple[tuple[str, TensorSpec], ...], list[str]]:
    """Return the outputs of signatures, and the names of all signatures that have the same."""
    groups: dict[tuple[tuple[str, TensorSpec], ...], list[str]] = {}
    for signature, _ in _signatures(promise):
        groups.setdefault(tuple(signature.outputs.items()), []).append(signature.name)
    return groups
