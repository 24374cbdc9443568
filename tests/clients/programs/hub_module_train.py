"""Takes one step with `hub.Module` in training, applies it once more, exports it, and loads that."""

import job
import tensorflow.compat.v1 as tf
import tensorflow_hub as hub

tf.disable_eager_execution()
task, batches = job.read()


def draws():
    operations = tf.get_default_graph().get_operations()
    return [operation.outputs[0] for operation in operations if operation.type == "RandomUniform"]


def apply(module, images):
    """The output; and what dropout draws for it, if any, as the reference has to draw the same."""
    earlier = len(draws())
    inputs = {"images": images}
    if task["momentum"] is not None:
        inputs["batch_norm_momentum"] = task["momentum"]
    output = module(inputs, signature=task["signature"], as_dict=True)["default"]
    return output, draws()[earlier:]


module = hub.Module(task["module"], trainable=True, tags={"train"})
output, noise = apply(module, batches["step"])
updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
losses = tf.losses.get_regularization_losses()
facts = {
    "updates": len(updates),
    "losses": len(losses),
    "trainable": len(tf.trainable_variables()),
    "variables": len(tf.global_variables()),
}
loss = tf.reduce_mean(output**2) + tf.add_n(losses)
with tf.control_dependencies(updates):
    step = tf.train.GradientDescentOptimizer(task["rate"]).minimize(loss)

again, noise_again = apply(module, batches["again"])
facts["variables_of_two"] = len(tf.global_variables())

arrays = {}
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for name, value in session.run(dict(module.variable_map)).items():
        arrays["before " + name] = value
    arrays["losses"] = session.run(losses)
    _, arrays["step"], found = session.run([step, output, noise])
    arrays.update(zip(["noise step"], found))
    arrays["again"], found = session.run([again, noise_again])
    arrays.update(zip(["noise again"], found))
    for name, value in session.run(dict(module.variable_map)).items():
        arrays["after " + name] = value
    module.export(job.path("exported"), session)

with tf.Graph().as_default(), tf.Session() as session:
    module = hub.Module(job.path("exported"))
    outputs = module(batches["exported"], signature=task["plain_signature"], as_dict=True)
    session.run(tf.global_variables_initializer())
    for key, value in session.run(outputs).items():
        arrays["exported " + key] = value
    facts["signatures"] = module.get_signature_names()
    facts["image_size"] = hub.get_expected_image_size(module)

job.write(arrays, **facts)
