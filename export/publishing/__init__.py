"""slimhub.export.publishing: a version and its archive are put in place, whole or not at all."""
