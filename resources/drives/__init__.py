"""Recordings of vehicles: data sets of driving, which all become the same pair of tables, frames and objects."""
