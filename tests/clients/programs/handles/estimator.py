"""Train and evaluate a canned estimator on the embeddings of pictures."""

import job
import tensorflow as tf
import tensorflow_hub as hub

task, arrays = job.read()
[url] = task["urls"]
tf.logging.set_verbosity(tf.logging.ERROR)


def inputs(epochs):
    return tf.estimator.inputs.numpy_input_fn(
        {"image": arrays["images"]},
        arrays["labels"],
        batch_size=len(arrays["labels"]),
        num_epochs=epochs,
        shuffle=False,
    )


column = hub.image_embedding_column("image", url)
classifier = tf.estimator.DNNClassifier(
    hidden_units=[8],
    feature_columns=[column],
    n_classes=3,
    model_dir=job.path("model"),
    optimizer=tf.train.AdamOptimizer(1e-3),
    config=tf.estimator.RunConfig(tf_random_seed=1),
)
metrics = []
for steps in (1, 8):
    classifier.train(inputs(epochs=None), steps=steps)
    metrics.append(classifier.evaluate(inputs(epochs=1)))

predicted = classifier.predict(inputs(epochs=1), predict_keys="probabilities")
answer = {"predicted": [one["probabilities"] for one in predicted]}
for layer in ("hiddenlayer_0", "logits"):
    for kind in ("kernel", "bias"):
        found = classifier.get_variable_value("dnn/" + layer + "/" + kind)
        answer[layer + " " + kind] = found
with tf.Graph().as_default(), tf.Session() as session:
    embedding = tf.feature_column.input_layer({"image": arrays["images"]}, [column])
    session.run(tf.global_variables_initializer())
    answer["embedding"] = session.run(embedding)

job.write(
    answer,
    metrics=[{name: float(value) for name, value in found.items()} for found in metrics],
)
