"""slimhub.export.verification: what was written, beside what the Slim graph gives."""
