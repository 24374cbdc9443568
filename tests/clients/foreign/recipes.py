"""What the programs of `programs/foreign` are told to write: keywords of their functions, by module."""

V1 = {"model": "inception_v1", "classify": True}
V2 = {**V1, "model": "inception_v2"}
# What distinguishes version 1 from version 3; its momentum is TF-Slim's.
VERSION_1 = {
    "any_size": False,
    "momentum": 0.9997,
    "settable_momentum": False,
    "attached": False,
}

# By TF-Slim and `hub.create_module_spec`. After the good ones, each is broken in one way.
SLIM = {
    "v1-classification-1": {**V1, **VERSION_1, "name_scope": "network", "use_resource": False},
    "v1-classification-3": V1,
    "labelled": {**V1, "classes": 17, "class_names": "labels.txt"},
    "seventeen": {**V1, "classes": 17},
    "missing-end-point": {**V1, "missing": ["InceptionV1/Mixed_4c"]},
    "not-rescaled": {**V1, "rescaled": False},
    "bgr": {**V1, "bgr": True},
    "momentum": {**V1, "momentum": 0.997},
    "not-attached": {**V1, "attached": False},
    "batch-statistics": {**V1, "batch_statistics": True},
    "probabilities": {**V1, "probabilities": True},
    "inference-only": {**V1, "train": False},
    "updates": {**V1, "updates": True},
    "fixed-size": {**V1, "any_size": False},
    "float64": {**V1, "dtype": "float64", "fused": False},
}
SLOW_SLIM = {
    "unfused": {**V1, "fused": False},
    "v1-feature-vector-1": {**V1, **VERSION_1, "classify": False},
    "v2-classification-1": {**V2, **VERSION_1},
    "v2-classification-3": {**V2, "name_scope": "network"},
    "v2-feature-vector-3": {**V2, "classify": False},
}

# By `tf_keras`: heads of an application.
APPLICATIONS = {
    "keras-features": {"include_top": False, "pooling": "avg"},
    "keras-logits": {"classes": 10, "classifier_activation": None},
    "keras-probabilities": {"classes": 10},
}
# By hand.
HAND_WRITTEN = {
    "by-hand": {},
    "by-hand-batch-statistics": {"batch_statistics": True},
    "by-hand-updates": {"updates": True},
    "by-hand-tf-module": {"tf_module": True},
}
