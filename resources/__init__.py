"""What assets talk to: image sources, models, the lake, MLflow, Great Expectations."""
