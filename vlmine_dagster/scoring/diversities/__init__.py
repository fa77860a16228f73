"""One module per way to pick images that differ."""
