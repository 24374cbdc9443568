"""slimhub.signatures.graphs: what can be read off the graphs of modules, of either format and of anybody's."""
