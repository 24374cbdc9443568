"""The settings that make exports and checks run on the CPU, even if there are GPUs.

A GPU may compute float32 as TF32, which has 10 bits of mantissa in place of 23, and its atomic additions
sum in any order. So the same module would return different numbers in each run, and parity would be luck.
Also, each of an export's two processes would allocate the whole memory of the GPU.

slimhub as a library chooses devices only for what it runs itself. The calling program keeps its settings.
"""

import contextlib
import os
from collections.abc import Iterator


def set_environment() -> None:
    """Hide all GPUs from this process and its children. Call it before TensorFlow is imported."""
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        os.environ[name] = "-1"
    # Without Grappler, oneDNN's kernels rearrange the weights in each run of a graph, and its allocator
    # never returns memory. With oneDNN, the export of VGG 16 takes 1.5 times as long.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def hide_gpus() -> None:
    """Hide all GPUs from TensorFlow in this process, a child of slimhub's. Call it before any operation."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


@contextlib.contextmanager
def run_on_cpu() -> Iterator[None]:
    """Run the eager operations of the block on the CPU. Graphs built in the block get no device."""
    import tensorflow as tf

    with tf.device("/CPU:0"):
        yield


def session_config():
    """Return a `tf.compat.v1.ConfigProto` for sessions without GPUs."""
    import tensorflow as tf

    return tf.compat.v1.ConfigProto(device_count={"GPU": 0})
