"""slimhub.models: the networks. It builds on TF-Slim, and knows no files, versions or signatures."""
