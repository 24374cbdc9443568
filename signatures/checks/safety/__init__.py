"""slimhub.signatures.checks.safety: what must be known of a module before any of it is run."""
