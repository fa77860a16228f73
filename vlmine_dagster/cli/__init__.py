"""The `vlmine` command, one module per command."""
