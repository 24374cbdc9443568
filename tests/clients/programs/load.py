"""Load a module in the ways that the task names, and apply every signature of every tag set, or call it.

Arrays are named `<way> <mode> <batch> <signature>:<output>`; a way is named as in `WAYS`.
"""

import job
import tensorflow as tf
import tensorflow_hub as hub

task, batches = job.read()
arrays, variables = {}, []


def inputs(keys, images):
    return {key: task["momentum"] if "momentum" in key else images for key in keys}


def trains(name):
    """Whether a signature of version 5 moves the moving averages."""
    return task["tag_sets"] == [["serve"]] and name.endswith("_with_bn_hparams")


def in_session(tags, mode):
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.loader.load(session, tags, task["module"])
        draws = [op.outputs[0] for op in graph.get_operations() if op.type == "RandomUniform"]
        for batch, images in batches.items():
            feeds, fetches = {}, {}
            for name, signature in meta_graph.signature_def.items():
                if name == "__saved_model_init_op" or trains(name):
                    continue
                given = inputs(signature.inputs, images)
                feeds.update({signature.inputs[key].name: given[key] for key in given})
                for key, info in signature.outputs.items():
                    fetches["loader " + mode + batch + " " + name + ":" + key] = info.name
            outputs, noise = session.run([fetches, draws], feeds)
            arrays.update(outputs)
            arrays.update(zip(["noise " + batch], noise))


def call_signatures(module, prefix):
    variables.append(len(module.variables))
    for batch, images in batches.items():
        if not module.signatures:
            outputs = module(images, training=False, return_endpoints=True)
            for key, output in outputs.items():
                name = "__call__(training=False, return_endpoints=True)"
                arrays[prefix + batch + " " + name + ":" + key] = output.numpy()
        for name, signature in module.signatures.items():
            if not trains(name):
                given = inputs(signature.structured_input_signature[1], images)
                given = {key: tf.constant(value) for key, value in given.items()}
                for key, output in signature(**given).items():
                    arrays[prefix + batch + " " + name + ":" + key] = output.numpy()


def by_saved_model(tags, mode):
    call_signatures(tf.saved_model.load(task["module"], tags=tags), "saved_model " + mode)


def by_hub_load(tags, mode):
    if mode == "inference ":
        call_signatures(hub.load(task["handle"]), "hub.load " + mode)


def in_keras_layer(tags, mode):
    """Apply it in a model and by itself: only what needs no momentum fits into a layer."""
    import tf_keras

    if mode == "inference ":
        for batch, images in batches.items():
            prefix = "KerasLayer " + mode + batch + " "
            given = tf_keras.Input(images.shape[1:])
            model = tf_keras.Model(given, hub.KerasLayer(task["handle"])(given))
            arrays[prefix + "default:default"] = model.predict(images, verbose=0)
            for name in task["keras_signatures"]:
                layer = hub.KerasLayer(
                    task["handle"], signature=name, signature_outputs_as_dict=True
                )
                for key, output in layer(images).items():
                    arrays[prefix + name + ":" + key] = output.numpy()


WAYS = {
    "loader": in_session,
    "saved_model": by_saved_model,
    "hub.load": by_hub_load,
    "KerasLayer": in_keras_layer,
}
for way in task["ways"]:
    for tags in task["tag_sets"]:
        WAYS[way](tags, "training " if tags == ["train"] else "inference ")
job.write(arrays, variables=variables)
