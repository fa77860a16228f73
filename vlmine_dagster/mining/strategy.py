"""What to mine by with what a project has; docs/which-strategy.md shows the measurements behind it."""

_ENOUGH_WEIGHT = 0.5


def strategy_advice(
    *, label_count: int, has_names: bool, tag_weight: float | None = None, tells_images_apart: bool | None = None
) -> str:
    """Return what to mine by, in one or two sentences.

    Args:
        label_count: Labelled images.
        has_names: Whether the project names its classes.
        tag_weight: How much tags count in the pool, from 0 to 1 (`mining.isolation.tag_weight`); None: not known yet.
        tells_images_apart: Whether keywords say what differs between images; None: not known yet.

    Examples:
        >>> print(strategy_advice(label_count=200, has_names=True))
        `fused`: the labelled images say which classes are rare, and what to join with their lists.
        >>> advice = strategy_advice(label_count=0, has_names=False, tag_weight=0.0, tells_images_apart=False)
        >>> advice.partition(":")[0]
        '`fused` without labels, which goes by how isolated images are'
    """
    if label_count:
        names = (
            "" if has_names else " Name the classes (`dataset.labels.classes`): classes are searched for by name too."
        )
        return f"`fused`: the labelled images say which classes are rare, and what to join with their lists.{names}"
    then = "Label a few dozen images, drawn at random, and run again: with labels `fused` finds more."
    if tells_images_apart is False or (tag_weight is not None and tag_weight < _ENOUGH_WEIGHT):
        first = (
            "`fused` without labels, which goes by how isolated images are: the tags hardly tell images apart here, so "
            "do not mine by novelty."
        )
    elif tag_weight is None:
        first = "`fused` without labels: it finds out how much tags tell about this pool."
    else:
        first = "`fused` without labels: the tags tell this pool's images apart, so it goes by what is rare in them."
    if not has_names and (tag_weight is None or tag_weight >= _ENOUGH_WEIGHT) and tells_images_apart is not False:
        first += (
            " Name the classes (`dataset.labels: {classes: FILE}` needs no label): it finds more where tags know them."
        )
    return f"{first} {then}"
