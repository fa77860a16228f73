"""One module per kind of task model: its settings, and how it is made and asked."""
