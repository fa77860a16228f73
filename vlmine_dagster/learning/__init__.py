"""The torch side: the task model, its training and its predictions."""
