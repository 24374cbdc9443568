"""Previews of modules: what their first filters look like, and what they make of a sample image."""
