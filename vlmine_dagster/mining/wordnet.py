"""Synonyms of WordNet: nouns that mean one thing in the commonest sense of each."""

import re
from collections import defaultdict
from collections.abc import Mapping

_LINE = re.compile(r"^(\S+) n \d+ .*? (\d{8}(?: \d{8})*) *$", re.MULTILINE)


def is_wordnet_index(text: str) -> bool:
    """Whether a text is the index of a part of speech of a WordNet, which begins with its licence.

    Examples:
        >>> is_wordnet_index("auto n 1 1 @ 1 0 02958343"), is_wordnet_index("truck, lorry")
        (True, False)
    """
    return _LINE.search(text) is not None


def wordnet_groups(text: str, *, groups: Mapping[str, str]) -> dict[str, str]:
    r"""Return the name of its group, by word, of nouns that share the first, the commonest, sense of each.

    A later sense does not count: a dog may be a hot dog.

    Args:
        text: `index.noun` of a WordNet.
        groups: Groups that are known, first name by word: their words stay in them, and name the group.

    Examples:
        >>> lines = ["auto n 1 1 @ 1 0 02958343", "motor_car n 1 1 @ 1 0 02958343", "cad n 2 1 @ 2 0 09889065 02084071"]
        >>> wordnet_groups("\n".join([*lines, "dog n 1 1 @ 1 0 02084071"]), groups={"auto": "car"})
        {'motor car': 'car'}
    """
    by_sense: dict[str, list[str]] = defaultdict(list)
    for word, senses in _LINE.findall(text):
        by_sense[senses.split(" ", 1)[0]].append(word.replace("_", " "))
    found = {}
    for words in by_sense.values():
        if len(words) > 1:
            name = next((groups[word] for word in words if word in groups), words[0])
            found.update({word: name for word in words if word not in groups})
    return found
