"""Words in which a model talks about the request instead of the picture: the vocabulary of `failures`.

English words are given by how they begin; what is neither here nor a function word names something that may be seen.
Phrases of other languages are given as they are written, without the words around them.
"""

from importlib.resources import files

import regex


def listed_words(name: str) -> list[str]:
    """Return the words of a list that comes with vlmine; lines that begin with # say what it is."""
    text = files("vlmine_dagster.mining").joinpath(f"words/{name}.txt").read_text(encoding="utf-8")
    return [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]


FUNCTION_WORDS = frozenset(listed_words("english_function"))
META_STARTS = tuple(listed_words("english_request"))
_SHORT = 5  # characters; shorter beginnings are whole words, or words would be taken for others: ai for aisle
_ENDINGS = r"(?:s|es|ed|d|ing|er|ers|ly|ion|ions|'s)?"
_ABSTRACT = (
    r""
    r""
    r""
    r""
    r"(?!(?:station|constellation|plantation|mansion|television|cushion|lotion|potion|onion|lion|stallion|city|university|trinity|nativity|ambulance|entrance|fence|residence|audience|appliance|harness|wilderness|witness|lioness|highness|pavement|basement|apartment|monument|instrument|garment|ornament|cement|tenement|parchment|ointment|tournament|equipment|department|garment|vestment|embankment|document|table|vegetable|cable|stable|marble|bible|syllable|constable|convertible|collectible|portable|family|lily|jelly|belly|butterfly|assembly|firefly|dragonfly|gully|trolley|italy|prism|organism|mechanism|tourism|ship|spaceship|battleship|warship|township|flagship|airship|exhibition|illustration|decoration|congregation|intersection|collection|reflection|procession|demonstration|celebration|formation|vegetation|construction|excavation|irrigation|installation|motion|crucifixion|pavilion|auction|pension|collision|explosion|eruption|prairie|ceremony|party|pastry|pottery|jewelry|jewellery|cemetery|bakery|library|battery|cutlery|laundry|assembly|shimmery|silvery|rally|tally|doily|woolly|curly|ugly|prickly|bubbly|wrinkly|bristly|wobbly|early|elderly|friendly|lovely|lonely|silly|jolly|chilly|hilly|smelly)s?\b)\p{{L}}{{3,}}(?:tion|sion|ity|ness|ance|ence|ency|ancy|ability|ibility|ization|isation|ism|ment|ship|able|ible|ably|ibly|ly|ful|ology)s?"
)
"""English endings of words that name nothing to be seen, with the commonest that do."""

META = regex.compile(
    r"(?:(?:{long})[\w'-]*|(?:{short}){endings}|{abstract})".format(
        long="|".join(sorted({start for start in META_STARTS if len(start) >= _SHORT}, key=len, reverse=True)),
        short="|".join(sorted({start for start in META_STARTS if len(start) < _SHORT}, key=len, reverse=True)),
        endings=_ENDINGS,
        abstract=_ABSTRACT.replace("{{", "{").replace("}}", "}"),
    ),
    regex.IGNORECASE,
)

THINGS = regex.compile(
    r""
    r""
    r""
    r""
    r"\b(?:the(?=\s+(?:signs?|box|bottles?|robots?|phones?|trees?)\b)|an?|one|two|three|four|five|six|seven|eight|nine|ten|several|some|many|few|both|of|with|his|her|their|its|\d+)\s+(?:[\w-]+\s+){0,2}?(signs?|eyes?|pages?|person|people|persons|faces?|child|children|doctors?|physicians?|screens?|windows?|box(?:es)?|hands?|scans?|manuals?|charts?|boards?|letters?|lines?|keys?|books?|tickets?|cards?|tools?|bars?|bod(?:y|ies)|heads?|objects?|phones?|corners?|logos?|guards?|symbols?|families|family|police|officers?|clinics?|bottles?|weapons?|drugs?|pills?|blood|graphics?|frames?|bots?|robots?|machines?|steps?|wallets?|cables?|disks?|pipes?|ports?|threads?|hosts?|trees?|buttons?|streams?|routes?|bridges?|parents?|victims?|candidates?|forms?)\b",
    regex.IGNORECASE,
)
"""Words of `META` that name a thing where they are introduced as one: `a sign`, but `sign in`."""
