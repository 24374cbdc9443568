"""Looks at a module with `hub.Module`, in both tag sets, and applies every signature for inference."""

import job
import tensorflow.compat.v1 as tf
import tensorflow_hub as hub

tf.disable_eager_execution()


def look(module):
    """Keys, types and shapes of every signature."""

    def tell(infos):
        return {key: [info.dtype.name, info.get_shape().as_list()] for key, info in infos.items()}

    return {
        name: {
            "inputs": tell(module.get_input_info_dict(name)),
            "outputs": tell(module.get_output_info_dict(name)),
        }
        for name in module.get_signature_names()
    }


task, batches = job.read()
with tf.Graph().as_default():
    in_training = look(hub.Module(task["handle"], tags={"train"}))

module = hub.Module(task["handle"])
at_inference = look(module)
images = tf.placeholder(tf.float32, [None, None, None, 3])
outputs = {}
for name in module.get_signature_names():
    inputs = {"images": images}
    if name.endswith("_with_bn_hparams"):
        inputs["batch_norm_momentum"] = 0.5
    for key, output in module(inputs, signature=name, as_dict=True).items():
        outputs[name + ":" + key] = output

arrays = {}
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for batch_name, batch in batches.items():
        for key, output in session.run(outputs, {images: batch}).items():
            arrays[batch_name + " " + key] = output

job.write(
    arrays,
    at_inference=at_inference,
    in_training=in_training,
    image_size=hub.get_expected_image_size(module),
    update_ops=len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)),
)
