"""slimhub.signatures: the contract of a module. Knows SavedModels; knows nothing of Slim."""
