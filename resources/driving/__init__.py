"""A small generated world of roads: what cameras and a LiDAR see of it, and its files as data sets lay them out."""
