"""Applies a module of TensorFlow 1 in both tag sets: all outputs at inference, the main one in training."""

import job
import tensorflow.compat.v1 as tf
import tensorflow_hub as hub

tf.disable_eager_execution()
task, batches = job.read()
arrays, facts = {}, {}

module = hub.Module(task["module"])
images = tf.placeholder(tf.float32, [None, None, None, 3])
outputs = {
    name + ":" + key: output
    for name in module.get_signature_names()
    if not name.endswith("_with_bn_hparams")
    for key, output in module(images, signature=name, as_dict=True).items()
}
facts["signatures"] = sorted(module.get_signature_names())
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for batch, pictures in batches.items():
        for key, output in session.run(outputs, {images: pictures}).items():
            arrays[batch + " " + key] = output

with tf.Graph().as_default():
    module = hub.Module(task["module"], trainable=True, tags={"train"})
    images = tf.placeholder(tf.float32, [None, None, None, 3])
    output = module(images)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    losses = tf.losses.get_regularization_losses()
    loss = tf.reduce_mean(output**2) + tf.add_n(losses)
    step = tf.train.GradientDescentOptimizer(1e-3).minimize(loss)
    averages = [one for one in tf.global_variables() if "/moving_" in one.name]
    facts.update(updates=len(updates), losses=len(losses), averages=len(averages))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        feeds = {images: next(iter(batches.values()))}
        arrays["first"], arrays["second"] = session.run(output, feeds), session.run(output, feeds)
        before = session.run(averages)
        session.run((step, updates), feeds)
        after = session.run(averages)
        facts["moved"] = sum(bool((old != new).any()) for old, new in zip(before, after))

job.write(arrays, **facts)
