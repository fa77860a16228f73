"""Media: what items are, and what people, encoders and describers get of them. Each is a module here."""
