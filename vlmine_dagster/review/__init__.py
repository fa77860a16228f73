"""The local page on which people look through a mined list and judge it."""
