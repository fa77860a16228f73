"""The field's selectors of images to label, each from its paper; see `selectors.table` for all of them by name."""
