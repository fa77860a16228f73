"""Extraction variants: ways to describe images and to make keywords of what was said, side by side."""

DEFAULT_VARIANT = "default"
"""Name of the variant whose assets and tables have plain names; others have their own name as prefix."""
