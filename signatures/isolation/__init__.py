"""slimhub.signatures.isolation: the checks in processes of their own, for modules of strangers."""
