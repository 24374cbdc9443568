"""Benchmarks of `make bench`: exports, modules, and programs that run them, each beside its peers."""
