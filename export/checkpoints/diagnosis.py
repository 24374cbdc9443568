"""Likely reasons why a checkpoint doesn't fit a network, from the names and shapes of its variables."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from slimhub.export.checkpoints import training_state
from slimhub.export.errors import Problem
from slimhub.models import catalog
from slimhub.models.model import Model
from slimhub.support.printable import printable

Shape = tuple[int, ...]

# Parts of the names that `tf.train.Checkpoint` and Keras write, which are paths of attributes.
_OF_OBJECTS = (training_state.OBJECT_GRAPH, "/.ATTRIBUTES/")


def explain(
    problems: Collection[Problem],
    *,
    model: Model,
    shapes: Mapping[str, Shape],
    wanted: Collection[str],
) -> Iterator[str]:
    """Yield the likely causes, one sentence each.

    Args:
      problems: all problems of the checkpoint.
      model: the network that the checkpoint should be of.
      shapes: shapes of the checkpoint's variables, by name.
      wanted: names of the network's variables.
    """
    names: dict[str, list[str]] = {}
    for problem in problems:
        names.setdefault(problem.kind, []).append(problem.name)
    missing, misshapen = names.get("missing", []), names.get("shape", [])
    weights, biases = (f"{model.scope}/{model.head}/{kind}" for kind in ("weights", "biases"))
    instead_of_norms = {
        name.split("/BatchNorm/")[0] + "/biases" for name in missing if "/BatchNorm/" in name
    }
    averaged = [name for name in missing if training_state.average_of(name) in shapes]
    if len(missing) == len(wanted) and (objects := of_objects(shapes)):
        yield objects
    elif model.scope not in scopes(shapes):
        yield of_no_network(shapes, [model, *catalog.MODELS])
    elif averaged:
        yield (
            f"It has {len(averaged)} of the missing variables as moving averages only: "
            "--moving_averages exports these."
        )
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
    if "dtype" in names:
        yield (
            "Save its weights as float32 under the same names: only float16 and bfloat16 are converted, "
            "which float32 holds exactly."
        )
    if "value" in names:
        yield (
            "With these values, inference gives infinity or NaN: export an earlier checkpoint of the "
            "training."
        )
    if set(names) == {"unused"}:
        yield "Every wanted variable is there: --allow_unused exports without the unused ones."


def scopes(names: Collection[str]) -> list[str]:
    """Return the outermost scopes of variables, sorted. A variable outside any scope counts as one."""
    return sorted({name.split("/")[0] for name in names})


def networks(names: Collection[str]) -> list[Model]:
    """Return the networks of the catalog whose scopes are among the outermost ones of `names`."""
    outermost = set(scopes(names))
    return [model for model in catalog.MODELS if model.scope in outermost]


def of_no_network(names: Collection[str], models: Collection[Model]) -> str:
    """Return a sentence about a checkpoint that has none of these networks' scopes as an outermost one."""
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
    """Return a sentence about a checkpoint of TensorFlow 2's objects; None if it is no such checkpoint."""
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
    ending = f"/{training_state.MOVING_AVERAGE}"
    raw = [
        name for name in missing if name.endswith(ending) and name.removesuffix(ending) in shapes
    ]
    if raw and raw == missing:
        some = any(training_state.average_of(name) in shapes for name in wanted)
        has = "moving averages of some variables only" if some else "no moving averages"
        yield f"It has {has}: without --moving_averages, the raw weights are exported."
