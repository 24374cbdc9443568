"""slimhub.signatures.module: a module on disk, as files, protos and objects. Knows nothing of checks."""
