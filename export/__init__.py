"""slimhub.export: a checkpoint in, a checked module out."""
