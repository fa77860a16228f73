"""What makes a stage an asset: freshness, making, publishing, checks."""
