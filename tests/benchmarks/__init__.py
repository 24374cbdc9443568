"""What `make bench` measures: exports, modules, and what runs them, each beside its peers."""
