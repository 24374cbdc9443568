"""A server of modules that answers as TF Hub did, and their pages."""
