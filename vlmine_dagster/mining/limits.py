"""Where the checks on mining draw their lines; numbers only, so that announcing a check needs no numerics."""

MOST_WITHOUT_KEYWORDS = 0.1
MOST_SEEN_ONCE = 0.85
MOST_TOP_KEYWORD = 0.6
FEWEST_KEYWORDS = 2.0
FEWEST_BITS = 5.0
MOST_SPEARMAN = 0.9
MOST_JACCARD = 0.8
MOST_DRIFT = 0.25
FEWEST_EXPECTED = 5.0
FEWEST_IMAGES = 100
