"""Mining and learning put together: the columns of the score tables."""
