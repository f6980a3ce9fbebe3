"""Whether a key that somebody chose could be guessed, or chosen by somebody else too."""

import re
from itertools import pairwise

from orderdesk_app.setting_rules import is_published

_LEAST_DIFFERENT = 10
# Of random keys one pair of neighbours in ten is expected by chance, of words more than half.
_MOST_EXPECTED = 1 / 3
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz", "01234567890")
_LEAST_RUN = 3
# the pairs that English and its relatives use most
_PAIRS = frozenset(
    found[0]
    for found in re.finditer(
        "..",
        "thheineranrendatonnthaesstenedtoitoueahiisortiasteetngofaldeselesasiarveraldurmamyme"
        "keeysswordeeoollneroriiccocehonobetapaadmiusctecla",
    )
)


def is_simple(key: str) -> bool:
    """True for words, patterns, keys of a keyboard in a row, and few kinds or few different
    characters. Of random keys of 32 characters one in ten thousand looks like this, of those of 64
    none.
    """
    kinds = [bool(re.search(kind, key)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]")]
    if sum(kinds) < 2 or len(set(key)) < _LEAST_DIFFERENT or is_published(key):
        return True
    folded = key.casefold()
    runs = _places_in_runs(folded)
    expected = sum(
        first + second in _PAIRS or place in runs
        for place, (first, second) in enumerate(pairwise(folded))
    )
    return expected > _MOST_EXPECTED * (len(folded) - 1)


def _places_in_runs(text: str) -> set[int]:
    """Places of pairs that belong to a run such as 1234, cba, asdf or aaa."""
    places: set[int] = set()
    for row in (*_ROWS, *(row[::-1] for row in _ROWS), *(sign * 8 for sign in set(text))):
        for start in range(len(text) - _LEAST_RUN + 1):
            length = _LEAST_RUN
            if text[start : start + length] not in row:
                continue
            while text[start : start + length + 1] in row and start + length < len(text):
                length += 1
            places.update(range(start, start + length - 1))
    return places
