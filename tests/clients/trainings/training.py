"""Networks that stock TF-Slim trains on photographs, each once: they stay in the user's cache."""

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from clients import consumer
from clients.environments import cache, environments

PHOTOGRAPHS, TRAINER = "trainings/photographs", "trainings/train_network"
# What scikit-image's wheel has of them, grey ones and regular patterns among them.
FILES = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
# What a trained network is applied to, whole.
SHOWN = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg")
# What is in the directory of a trained network.
_CHECKPOINT, _ARRAYS, _FACTS = "model.ckpt", "arrays.npz", "facts.json"
# Each takes two minutes of two cores; others may need these.
_TIMEOUT = 3600


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """How a network is trained, and what it is applied to then.

    Attributes:
      network: its name.
      steps: their number.
      batch: crops in each.
      batches: how many there are, before the same ones come again.
      size: height and width of a crop.
      rate: of learning, with a momentum of 0.9.
      sizes: height and width of the images that it is applied to, its own first.
    """

    network: str
    steps: int
    batch: int = 16
    batches: int = 1000
    size: int = 96
    rate: float = 0.02
    sizes: tuple[tuple[int, int], ...] = ((224, 224), (197, 215))


TRAININGS = (
    Training(network="resnet_v1_50", steps=100, rate=0.01),
    Training(network="resnet_v2_50", steps=100, rate=0.01),
    Training(network="inception_v2", steps=130),
    # Its last pool takes maps of 7 x 7, which images of 193 x 193 are the smallest to give.
    Training(network="inception_v1", steps=60, batch=8, size=193, rate=0.005),
    Training(network="inception_v3", steps=60, rate=0.003, sizes=((299, 299), (197, 215))),
    # Its first dense layer takes maps of 7 x 7. In so few steps, it learns no more than four crops.
    Training(
        network="vgg_16",
        steps=6,
        batch=4,
        batches=1,
        size=224,
        rate=0.003,
        sizes=((224, 224),),
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network, and what Slim's own graph gives of it.

    Attributes:
      checkpoint: the prefix of its files.
      version: of what trained it, in words.
      wall_seconds, cpu_seconds: how long the training took.
      arrays: the `losses` of all steps, without regularization; and for each size, as `224x224`, the
        `images`, in [0, 1], and what it makes of them at inference, `classification` and
        `feature_vector`, as `224x224 images`.
    """

    checkpoint: Path
    version: str
    wall_seconds: float
    cpu_seconds: float
    arrays: Mapping[str, np.ndarray]

    def of(self, kind: str) -> dict[str, np.ndarray]:
        """The arrays of a kind by their size, that of the network first."""
        return {
            name.removesuffix(f" {kind}"): array
            for name, array in self.arrays.items()
            if name.endswith(f" {kind}")
        }


def train(training: Training) -> Trained:
    """Trains a network, or finds it trained in the cache.

    Raises:
      MissingInterpreterError, BrokenEnvironmentError: as `Environment.python`.
    """
    used = [environments.environments()[name] for name in ("photographs", "tf-1.15")]
    programs = [(consumer.PROGRAMS / f"{name}.py").read_text() for name in (PHOTOGRAPHS, TRAINER)]
    facts = dataclasses.asdict(training)
    content = json.dumps([facts, FILES, SHOWN, programs, [one.directory.name for one in used]])
    directory = cache.directory("trained", training.network, content=content)
    cache.make_once(directory, lambda: _train(facts, *used, directory))
    return _read(directory)


def _train(facts, photographs, trainer, directory: Path) -> None:
    found = _run(photographs, PHOTOGRAPHS, images={}, files=FILES)
    result = _run(
        trainer,
        TRAINER,
        images=found.arrays,
        timeout=_TIMEOUT,
        checkpoint=str(directory / _CHECKPOINT),
        shown=SHOWN,
        **facts,
    )
    np.savez(directory / _ARRAYS, **result.arrays)
    (directory / _FACTS).write_text(json.dumps(result.facts))


def _run(environment: environments.Environment, program: str, **job) -> consumer.Result:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary, "program")
        directory.mkdir()
        return consumer.run(environment, program, directory=directory, **job)


def _read(directory: Path) -> Trained:
    facts = json.loads((directory / _FACTS).read_text())
    with np.load(directory / _ARRAYS) as arrays:
        return Trained(checkpoint=directory / _CHECKPOINT, arrays=dict(arrays), **facts)
