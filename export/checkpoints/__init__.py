"""slimhub.export.checkpoints: find, download, unpack, diagnose and restore checkpoints."""
