"""Loads every tag set of a module with `tf.compat.v1.saved_model.loader`, and applies every signature."""

import job
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
task, batches = job.read()
arrays, signatures = {}, {}
for tags in task["tag_sets"]:
    mode = "training" if "train" in tags else "inference"
    with tf.Graph().as_default() as graph, tf.Session() as session:
        meta_graph = tf.saved_model.loader.load(session, tags, task["module"])
        signatures[mode] = sorted(meta_graph.signature_def)
        draws = [op.outputs[0] for op in graph.get_operations() if op.type == "RandomUniform"]
        for batch, images in batches.items():
            feeds, fetches = {}, {}
            for name, signature in meta_graph.signature_def.items():
                # In a SavedModel of TensorFlow 2, the latter train.
                if name == "__saved_model_init_op" or (
                    tags == ["serve"] and name.endswith("_with_bn_hparams")
                ):
                    continue
                for key, info in signature.inputs.items():
                    feeds[info.name] = task["momentum"] if "momentum" in key else images
                for key, info in signature.outputs.items():
                    fetches[f"{mode} {batch} {name}:{key}"] = info.name
            outputs, noise = session.run([fetches, draws], feeds)
            arrays.update(outputs)
            arrays.update(zip([f"noise {batch}"], noise))

job.write(arrays, version=f"TensorFlow {tf.__version__}", signatures=signatures)
