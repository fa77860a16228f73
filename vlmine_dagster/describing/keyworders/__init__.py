"""One module per kind of keyworder."""
