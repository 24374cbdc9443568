"""slimhub.signatures.contract: what a module promises, as data, without TensorFlow and without files."""
