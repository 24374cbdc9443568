"""The groups of measurements, a file each."""
