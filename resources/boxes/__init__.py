"""Boxes: the files that they are read from, and the store from which those of a shard's images are looked up."""
