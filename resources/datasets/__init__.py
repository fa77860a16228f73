"""One module per kind of dataset: its settings, and how its images are opened."""
