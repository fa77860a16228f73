"""Words of pictures that are spelled or called in two ways, British and American above all."""

import re

from vlmine_dagster.domain.errors import ConfigError

_RESPELT = {
    "grey": "gray",
    "tyre": "tire",
    "kerb": "curb",
    "plough": "plow",
    "aeroplane": "airplane",
    "aluminium": "aluminum",
    "axe": "ax",
    "cheque": "check",
    "cosy": "cozy",
    "doughnut": "donut",
    "jewellery": "jewelry",
    "licence": "license",
    "mould": "mold",
    "moustache": "mustache",
    "pyjamas": "pajamas",
    "pyjama": "pajama",
    "sceptre": "scepter",
    "storey": "story",
    "yoghurt": "yogurt",
    "whisky": "whiskey",
}
_ENDINGS = (
    (re.compile(r"(?<=[a-z]{2})our(?=(s|ed|ing|ful|less|able)?$)"), "or"),  # colour, harbours
    (re.compile(r"(?<=[a-z]{2}[tb])re(?=s?$)"), "er"),  # centre, fibre
    (re.compile(r"(?<=[a-z]{3})is(?=(e|ed|es|er|ing|ation)$)"), "iz"),  # organise
    (re.compile(r"(?<=[aeiou])ll(?=(ed|ing|er|ers)$)"), "l"),  # travelling
    (re.compile(r"(?<=[a-z]{3})ogue(?=s?$)"), "og"),  # catalogue
    (re.compile(r"ae(?=[a-z]{3})"), "e"),  # archaeology
)
_STAY = frozenset(("hour", "four", "our", "your", "pour", "tour", "flour", "sour", "acre", "ogre", "genre", "massacre"))


def american(word: str) -> str:
    """Return one spelling for what Britain and America spell in two ways; only compared, never shown.

    A rule may also change a word that has one spelling. That does no harm: two keywords are merged only where the pool
    has both.

    Examples:
        >>> [american(word) for word in ("grey", "colour", "harbours", "centre", "travelling", "hour", "truck")]
        ['gray', 'color', 'harbors', 'center', 'traveling', 'hour', 'truck']
    """
    if word in _STAY:
        return word
    if word in _RESPELT:
        return _RESPELT[word]
    for pattern, instead in _ENDINGS:
        word = pattern.sub(instead, word)
    return word


_GROUPS = """
truck, lorry
airplane, aeroplane, plane, aircraft
car, automobile, auto
bicycle, bike, pushbike
motorcycle, motorbike
bus, coach bus, omnibus
train, railway train, railroad train
tram, streetcar, tramcar
subway, underground train, metro
taxi, cab, taxicab
ambulance, ambulance car
wheelchair, wheel chair
stroller, pushchair, pram, baby carriage, baby buggy
boat, rowboat, rowing boat
ship, vessel
sidewalk, pavement, footpath
crosswalk, zebra crossing, pedestrian crossing
traffic light, traffic signal, stoplight
street light, street lamp, streetlamp, lamppost, lamp post
road, roadway
highway, motorway, freeway, expressway
street sign, road sign, traffic sign
trash can, rubbish bin, garbage can, dustbin, waste bin, litter bin
couch, sofa, settee
television, tv, telly, television set
telephone, phone
cell phone, mobile phone, cellular phone, cellphone, smartphone
laptop, laptop computer, notebook computer
refrigerator, fridge
stove, cooker
faucet, tap
flashlight, torch
umbrella, brolly
sunglasses, shades
trousers, pants, slacks
sweater, jumper, pullover
sneaker, trainer, running shoe
diaper, nappy
purse, handbag
backpack, rucksack, knapsack
ice cream, icecream
hot dog, hotdog
soccer ball, football ball
movie theater, cinema
elevator, lift
apartment, flat
child, kid
man, male person
woman, female person
baby, infant
cat, kitty, domestic cat
dog, doggy, domestic dog
rabbit, bunny
cow, cattle
rooster, cock
lawn, grass lawn
forest, woods, woodland
rock, stone
ocean, sea
x-ray, xray, radiograph
tumor, tumour, neoplasm
"""


def read_groups(text: str, *, where: str) -> dict[str, str]:
    """Return the first word of its line, by word: a line holds words that mean one thing, between commas.

    Args:
        text: The lines; empty ones are skipped.
        where: Where they are from, for messages.

    Raises:
        ConfigError: a word is in two lines.

    Examples:
        >>> read_groups("truck, lorry", where="words")
        {'truck': 'truck', 'lorry': 'truck'}
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = [" ".join(word.lower().split()) for word in line.split(",")]
        for word in filter(None, words):
            if found.setdefault(word, words[0]) != words[0]:
                raise ConfigError(f"{where}, line {number}: {word!r} is in the line of {found[word]!r} too. Join them.")
    return found


SYNONYMS = read_groups(_GROUPS, where=__name__)
"""First name of its group, by word. Whether they mean the same in a pool is for who looks at the proposals to say."""
