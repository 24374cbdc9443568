"""slimhub.models: the networks. Knows Slim; knows nothing of files, versions or signatures."""
