"""Fine-tune a module from one of its end points, in a graph of TensorFlow 1."""

import job
import tensorflow as tf
import tensorflow_hub as hub

task, arrays = job.read()
[url] = task["urls"]
tf.set_random_seed(1)

images = tf.placeholder(tf.float32, [None, 224, 224, 3])
labels = tf.placeholder(tf.int64, [None])
module = hub.Module(url, trainable=True, tags={"train"})
end_points = module(dict(images=images), signature="image_feature_vector", as_dict=True)
net = tf.squeeze(end_points[task["end_point"]], [1, 2])
logits = tf.layers.dense(net, 3)
tf.losses.sparse_softmax_cross_entropy(labels, logits)
loss = tf.losses.get_total_loss()
updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(updates):
    train = tf.train.MomentumOptimizer(1e-3, 0.9).minimize(loss)

variables = dict(module.variable_map)
answer, losses = {}, []
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for name in ("first", "second", "third", "fourth"):
        weights = session.run(variables)
        answer.update({name + " " + key: weight for key, weight in weights.items()})
        feeds = {images: arrays["images"], labels: arrays["labels"]}
        answer[name + " net"], found, _ = session.run([net, loss, train], feeds)
        losses.append(float(found))

job.write(
    answer,
    losses=losses,
    updates=len(updates),
    regularization=len(tf.losses.get_regularization_losses()),
)
