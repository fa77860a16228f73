"""Detectors that find the boxes of objects here, instead of in files."""
