"""Why a checkpoint may not be that of a network, as far as its variables tell."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from slimhub.export import extras
from slimhub.models import catalog
from slimhub.models.catalog import Model
from slimhub.signatures.printable import printable

Shape = tuple[int, ...]
# Kind, name, details.
Problem = tuple[str, str, str]

# What `tf.train.Checkpoint` and Keras write: names are paths of attributes.
_OF_OBJECTS = ("_CHECKPOINTABLE_OBJECT_GRAPH", "/.ATTRIBUTES/")


def likely(
    problems: Collection[Problem],
    *,
    model: Model,
    shapes: Mapping[str, Shape],
    wanted: Collection[str],
) -> Iterator[str]:
    """The likely causes, a sentence each.

    Args:
      problems: what is wrong, of one kind or another: `- missing`, `! shape`, `+ unused`.
      model: the network that it should be of.
      shapes: what the checkpoint holds, by name.
      wanted: names of the network's variables.
    """
    names = {kind: [n for k, n, _ in problems if k == kind] for kind, _, _ in problems}
    missing, misshapen = names.get("- missing", []), names.get("! shape", [])
    weights, biases = (f"{model.scope}/{model.head}/{kind}" for kind in ("weights", "biases"))
    instead_of_norms = {
        name.split("/BatchNorm/")[0] + "/biases" for name in missing if "/BatchNorm/" in name
    }
    if missing and (objects := of_objects(shapes)):
        yield objects
    elif model.scope not in scopes(shapes):
        yield of_no_network(shapes, [model, *catalog.MODELS])
    elif instead_of_norms & set(shapes):
        yield "It has biases in place of batch norm: its network was built without Slim's arg scope."
    elif {weights} <= set(missing) <= {weights, biases}:
        yield "It has no classification layer: --task=feature_vector needs none."
    else:
        yield from _averages(missing, shapes, wanted)
    if biases in misshapen and weights in shapes and weights not in misshapen:
        classes = shapes[weights][-1]
        yield (
            f"Its classification layer is inconsistent: by its weights it has {classes} classes. "
            f"(Published ones have {model.num_classes}, "
            f"{'the first one' if model.background else 'none of them'} background.)"
        )
    if set(names) == {"+ unused"}:
        yield "Every wanted variable is there: --allow_unused exports without the unused ones."


def scopes(names: Collection[str]) -> list[str]:
    """The outermost scopes of variables, sorted; a variable in none is its own."""
    return sorted({name.split("/")[0] for name in names})


def networks(names: Collection[str]) -> list[Model]:
    """Those of the catalog whose scopes are among the outermost."""
    found = set(scopes(names))
    return [model for model in catalog.MODELS if model.scope in found]


def of_no_network(names: Collection[str], models: Collection[Model]) -> str:
    """What a checkpoint may be that has the outermost scope of none of these networks."""
    for model in models:
        inside = f"/{model.scope}/"
        prefixes = sorted({name.partition(inside)[0] for name in names if inside in name})
        if prefixes:
            return (
                f"Its variables of {model.scope} are below {_listed(prefixes)}, as in a network that "
                "is part of another, an object detector perhaps: save them without that, with a "
                "tf.compat.v1.train.Saver of a dictionary of their names."
            )
    others = [f"{model.name} (--model={model.name})" for model in networks(names)]
    fits = f", which fit {' or '.join(others)}" if others else ""
    return f"It is of another network: its scopes are {_listed(scopes(names)) or 'none'}{fits}."


def of_objects(names: Collection[str]) -> str | None:
    """What a checkpoint of TensorFlow 2 is; None if it is none."""
    if not any(part in name for name in names for part in _OF_OBJECTS):
        return None
    return (
        "It is a checkpoint of objects, as Keras and tf.train.Checkpoint write them in TensorFlow 2: "
        "its names are paths of attributes. Expected one of a tf.compat.v1.train.Saver, with the "
        "names of Slim's variables."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names[:8])) + ", ..." * (len(names) > 8)


def _averages(missing, shapes, wanted) -> Iterator[str]:
    without = [name for name in missing if name.endswith(f"/{extras.MOVING_AVERAGE}")]
    raw = [name for name in without if name.rpartition("/")[0] in shapes]
    if raw and len(raw) == len(missing):
        some = any(extras.average_of(name) in shapes for name in wanted)
        yield (
            "It has moving averages of some variables only: "
            if some
            else "It has no moving averages: "
        ) + "without --moving_averages, the raw weights are exported."
