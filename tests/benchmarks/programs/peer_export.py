"""Exports version 3 the original way: `hub.create_module_spec` on TensorFlow 1.15 and stock Slim.

Usage: python peer_export.py CHECKPOINTS OUTPUT MODEL/TASK ...

CHECKPOINTS is a directory with <model>.ckpt; all modules are exported by the one process. Prints
the seconds of imports and of each stage as JSON, as our export does. It neither reloads nor checks
what it wrote.
"""

import json
import os
import sys
import time

started = time.perf_counter()

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(FOLDER, "..", "..", "clients", "programs", "foreign"))
import slim_modules

imported = time.perf_counter()


def export(checkpoints, output, module):
    """Exports a module; gives the seconds of each stage."""
    model, task = module.split("/")
    began = time.perf_counter()
    spec = slim_modules.module_spec(model, classify=task == "classification")
    built = time.perf_counter()
    checkpoint = os.path.join(checkpoints, model + ".ckpt")
    spec.export(os.path.join(output, module, "3"), checkpoint_path=checkpoint)
    return {"building": built - began, "writing": time.perf_counter() - built}


checkpoints, output = sys.argv[1:3]
modules = [{"stages": export(checkpoints, output, module)} for module in sys.argv[3:]]
print(json.dumps({"importing": imported - started, "modules": modules}))
