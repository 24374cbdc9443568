"""Fine-tune modules with `hub.Module` on labelled images, and export them again."""

import os

import job
import tensorflow.compat.v1 as tf
import tensorflow_hub as hub

tf.disable_eager_execution()
task, arrays = job.read()
for name, path in task["modules"].items():
    with tf.Graph().as_default(), tf.Session() as session:
        module = hub.Module(path, trainable=True, tags={"train"})
        logits = tf.layers.dense(module(arrays["images"]), 1 + int(arrays["labels"].max()))
        tf.losses.sparse_softmax_cross_entropy(arrays["labels"], logits)
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            loss = tf.losses.get_total_loss()
            step = tf.train.GradientDescentOptimizer(task["rate"]).minimize(loss)
        session.run(tf.global_variables_initializer())
        for _ in range(task["steps"]):
            session.run(step)
        module.export(os.path.join(task["output"], name), session)
job.write({})
