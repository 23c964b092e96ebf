"""Texts as whole words."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

# A script without spaces is taken letter by letter, so that its words are found in a row. "c++" and "c#" are words.
_WORD: Final = re.compile(
    r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W_]+(?:['’][^\W_]+)*(?:\+\+|#)?"
)


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is written as a text."""
    return frozenset(text.split())


# Words that say nothing of what a text is about.
_FUNCTION_WORDS: Final = word_set(
    """a an the this that these those some any all every each no not
    i me my mine we us our you your he him his she her it its they them their
    is are was were be been being am do does did done have has had can could will would shall should may might must
    of to in on at by for with without from into about as than over under up down out off
    and or but if then so because while
    what who whom whose which when where why how there here
    please just also too very now again more get got give tell let want need like make
    hi hello hey thanks thank"""
)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in order, in one form for all ways to write a letter, without "'s"."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return tuple(word.removesuffix("'s") for word in _WORD.findall(plain))


def is_telling(word: str) -> bool:
    """Whether a word says something of what a text is about."""
    return word not in _FUNCTION_WORDS


def contains(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether the words of a phrase stand in a row."""
    size = len(phrase)
    return any(tuple(words[place : place + size]) == tuple(phrase) for place in range(len(words) - size + 1))
