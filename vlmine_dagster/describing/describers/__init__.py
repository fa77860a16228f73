"""One module per kind of describer."""
