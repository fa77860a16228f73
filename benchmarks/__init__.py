"""Numbers against peers and baselines; never part of the tests."""
