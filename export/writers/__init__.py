"""slimhub.export.writers: build the Slim graph as data, and write it in the two formats."""
