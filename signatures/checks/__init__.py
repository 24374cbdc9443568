"""slimhub.signatures.checks: whether a module keeps its contract."""
