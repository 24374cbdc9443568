"""Retrain a classifier of pictures in files: bottlenecks are kept as text, and a SavedModel classifies."""

import glob
import os

import job
import tensorflow as tf
import tensorflow_hub as hub

task, _ = job.read()
[url] = task["urls"]
CLASSES = sorted(os.listdir(task["pictures"]))
FILES = sorted(glob.glob(os.path.join(task["pictures"], "*", "*.png")))
LABELS = [CLASSES.index(os.path.basename(os.path.dirname(file))) for file in FILES]
STEPS = 30
tf.set_random_seed(1)


def build_module(spec):
    height, width = hub.get_expected_image_size(spec)
    with tf.Graph().as_default() as graph:
        channels = hub.get_num_image_channels(spec)
        images = tf.placeholder(tf.float32, [None, height, width, channels])
        return graph, images, hub.Module(spec)(images)


def add_decoding(spec):
    """From the bytes of a file to what the module takes."""
    content = tf.placeholder(tf.string)
    decoded = tf.image.decode_png(content, channels=hub.get_num_image_channels(spec))
    decoded = tf.image.convert_image_dtype(decoded, tf.float32)
    size = hub.get_expected_image_size(spec)
    return content, tf.image.resize_bilinear(decoded[tf.newaxis], size)


def decode(session, file, content, decoded):
    with open(file, "rb") as opened:
        return session.run(decoded, {content: opened.read()})


def read_or_compute(path, compute):
    """The numbers of a text file, which is written if it is not there."""
    if not os.path.exists(path):
        with open(path, "w") as file:
            file.write(",".join(str(number) for number in compute()))
    with open(path) as file:
        return [float(number) for number in file.read().split(",")]


def add_classifier(bottleneck):
    """A softmax layer, which is also to be fed."""
    [_, size] = bottleneck.shape.as_list()
    given = tf.placeholder_with_default(bottleneck, [None, size])
    truth = tf.placeholder(tf.int64, [None])
    weights = tf.get_variable("final_weights", [size, len(CLASSES)])
    biases = tf.get_variable("final_biases", [len(CLASSES)], initializer=tf.zeros_initializer())
    return given, truth, tf.matmul(given, weights) + biases, [weights, biases]


spec = hub.load_module_spec(url)
graph, images, bottleneck = build_module(spec)
os.mkdir(job.path("bottlenecks"))
bottlenecks = []
with graph.as_default(), tf.Session() as session:
    session.run(tf.global_variables_initializer())
    content, decoded = add_decoding(spec)
    for _ in range(2):
        # The second time from the files.
        bottlenecks.append([])
        for number, file in enumerate(FILES):

            def compute(file=file):
                picture = decode(session, file, content, decoded)
                return session.run(bottleneck, {images: picture})[0]

            path = job.path("bottlenecks/" + str(number))
            bottlenecks[-1].append(read_or_compute(path, compute))

    given, truth, logits, variables = add_classifier(bottleneck)
    loss = tf.losses.sparse_softmax_cross_entropy(truth, logits)
    train = tf.train.AdamOptimizer(1e-2).minimize(loss, var_list=variables)
    session.run(tf.global_variables_initializer())
    feeds = {given: bottlenecks[1], truth: LABELS}
    losses = [float(session.run([loss, train], feeds)[0]) for _ in range(STEPS)]
    tf.train.Saver().save(session, job.path("trained"))

# Graphs of their own evaluate it and export it.
graph, images, bottleneck = build_module(spec)
with graph.as_default(), tf.Session() as session:
    given, truth, logits, variables = add_classifier(bottleneck)
    tf.train.Saver().restore(session, job.path("trained"))
    right = tf.cast(tf.equal(tf.argmax(logits, 1), truth), tf.float32)
    feeds = {given: bottlenecks[1], truth: LABELS}
    accuracy = float(session.run(tf.reduce_mean(right), feeds))
    weights, biases = session.run(variables)

graph, images, bottleneck = build_module(spec)
with graph.as_default(), tf.Session() as session:
    _, _, logits, _ = add_classifier(bottleneck)
    tf.train.Saver().restore(session, job.path("trained"))
    outputs = {"prediction": tf.nn.softmax(logits)}
    tf.saved_model.simple_save(session, job.path("exported"), {"image": images}, outputs)

with tf.Graph().as_default(), tf.Session() as session:
    found = tf.saved_model.loader.load(session, ["serve"], job.path("exported"))
    signature = found.signature_def["serving_default"]
    image, prediction = signature.inputs["image"].name, signature.outputs["prediction"].name
    content, decoded = add_decoding(spec)
    predicted = [
        session.run(prediction, {image: decode(session, file, content, decoded)})[0]
        for file in FILES
    ]

job.write(
    {
        "computed": bottlenecks[0],
        "from files": bottlenecks[1],
        "predicted": predicted,
        "weights": weights,
        "biases": biases,
    },
    image=[*map(int, hub.get_expected_image_size(spec)), int(hub.get_num_image_channels(spec))],
    losses=losses,
    accuracy=accuracy,
)
