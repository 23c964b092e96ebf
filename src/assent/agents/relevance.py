"""Whether a query can be understood by itself, or refers to what was said before.

English has no mark for this, so a query goes through some rules, which look for words that point back: pronouns
without anything in the query that they could mean, openings and endings of follow-ups, fragments of sentences. What
looks like such a word and is none (expletives, titles, names, relative clauses, quoted texts) is struck out first.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from assent.agents.words import is_telling, word_set

PERSONS: Final = word_set("he him his she her hers")
THINGS: Final = word_set("it its they them their theirs")
SUBJECTS: Final = word_set("he she they")
POSSESSIVES: Final = word_set("his her its their")
DETERMINERS: Final = word_set("a an the my your our some any each every two three four five several many most all both")
PREPOSITIONS: Final = word_set(
    "of in on at by for with without to from into about as than over under like between against through during"
)
BOUNDARIES: Final = word_set(
    "and or but when if while because which who where so then before after until since whether"
)
AUXILIARIES: Final = word_set(
    "is are was were be do does did has have had can could will would should may might must why"
)
TIMES: Final = word_set("today tonight tomorrow yesterday now next this")
PEOPLE: Final = word_set(
    """man woman boy girl guy lady person people someone somebody everyone mother father mom dad mum parent brother
    sister son daughter wife husband uncle aunt cousin friend boss colleague manager customer client patient student
    teacher doctor author writer actor actress singer king queen prince princess president minister pope ceo cat dog"""
)
SAYING: Final = word_set(
    "think thinks believe say says said know knows hope sure so such see mean means told me him us"
)

# Whoever says more than this brings a text along.
LONGEST: Final = 2000

# What has the form of a reference and is none. Each is struck out, with what belongs to it.
_HARMLESS: Final = re.compile(
    r"""
      ["“«`][^"”»`]*["”»`] | (?<!\w)'[^']*'(?!\w)
    | \b(?:her|his|your|their|its)\s(?:royal\s|imperial\s|serene\s)?
      (?:majest(?:y|ies)|highness(?:es)?|excellenc(?:y|ies)|holiness|grace|honou?r|(?:lord|lady)ship)\b
    | \b(?:this|these)\s(?:very\s)?(?:week(?:end)?|month|year|quarter|morning|afternoon|evening|time|days?|moment
      |minute|season|spring|summer|autumn|fall|winter|century|decade|instant)\b
    | \b(?:one|some|the\sother|every)\s(?:day|time)\b | \bthose\s(?:who|of|that)\b | \bno\sone\b
    | \bwhat\s(?:time|day|date|year|month)\s(?:is|was)\sit\b | \bhow(?:'s|\sis)\sit\sgoing\b
    | \bwhat(?:'s|\sis)\sit\scalled\s(?:when|if)\b
    | \b(?:(?:is|was|will|does|did|would|can)\sit|it(?:'s|\sis|\swas))\s(?:be\s|going\sto\s|still\s|always\s)*
      (?:rain|snow|freez|hail|storm|sunny|cloudy|windy|foggy|get\s(?:dark|cold|hot))\w*
    | \b(?:is|isn't|was|does|did|would|will|can|may|could)\sit\s(?:\w+\s){1,3}
      (?:that|if|whether|to\s(?!the\b|an?\b|my\b|your\b|this\b|that\b|it\b|them\b|him\b|her\b|us\b|me\b)(?-i:(?=[a-z])))
    | \bit(?:'s|\sis|\swas|\stakes|\stook|\sseems|\sturns\sout)\s(?:\w+\s){0,3}(?:that\b|whether\b|to\s(?-i:(?=[a-z])))
    | \bmake\sit\s(?:\w+\s)?to\b | \bhow\s\w+\s(?:does|is|would|will|did)\sit\stake\b
    | \b(?:is|are|was|were|there's|will)\sthere\b | \bthere(?:'s|\sis|\sare|\swas|\swere)\b
    | \b(?:hi|hello|hey|anybody|anyone|who's)\sthere\b
    | ^this\sis\s(?=an?\b|my\b|the\b|our\b) | \bthe\sone\s(?=that\b|who\b|which\b) | \bone\sof\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Stands for what was struck out: a thing that a pronoun may mean, and no word that points back.
_STRUCK: Final = " a thing "

# What makes a query polite, or begins it, and says nothing.
_FILLING: Final = re.compile(
    r"^\s*(?:(?:now|then|so|well|great|cool|perfect|nice|thanks|thank you)\b[,.!]*\s*)+|,?\s*\bplease\b,?",
    re.IGNORECASE,
)

_WORD: Final = re.compile(r"([^\W_]+(?:['’][^\W_]+)*)|([,;:.!?()]+)")

# Queries that as a whole, at their beginning or at their end say that they go on with something.
_FOLLOW_UPS: Final = (
    r"^(?:continue|go on|go ahead|carry on|proceed|keep going|again|another|next|repeat|undo|redo|retry|try again)$",
    r"^(?:elaborate|rephrase|simplify|summari[sz]e|translate|expand|clarify)$",
    r"^(?:why|how|when|where|who|which|what)(?: (?:so|not|come|though|exactly|then|next|now))?$",
    r"^(?:really|both|neither|either|none|exactly|correct|wrong|me too)$",
    r"^(?:yes|no|yeah|yep|nope|ok|okay|sure)(?:(?: \w+){0,2}$|,)",
    r"^(?:and|but|also|or|again|besides|same|what about)\b",
    r"^how about\b(?! (?:an?|some)\b)",
    r"\b(?:instead|again|too|as well|further|either|in more detail)$",
    r"\bmore(?: (?:details?|info|information|examples?|specifics))*$",
    r"\b(?:what|who|where|when|how|anything|something|anyone|someone|nothing) else\b(?! if)",
    r"\b(?:you|we) (?:(?:just|already|have|had) )*(?:said|mentioned|discussed|told|suggested|talked|recommended)\b",
    r"\b(?:you|we) (?:(?:just|already|have|had) )*(?:wrote|listed|described|explained|promised|gave|proposed)\b",
    r"\bi (?:(?:just|already) )*(?:said|mentioned|asked)\b",
    r"\byour (?:(?:last|previous|first|second|earlier) )?(?:answer|reply|response|suggestion|example|list)s?\b",
    (
        r"\b(?:previous|last|earlier|prior|preceding|first|second|third|other|next) (?:answer|question|message|reply"
        r"|response|result|point|option|suggestion|example|version|one|step|part|sentence|paragraph|draft|item)s?\b"
        r"(?! (?:of|in|from|by)\b)"
    ),
    r"\bthe (?:former|latter|aforementioned)\b",
    r"\bthe (?:above|others?|rest)$",
    r"\b(?:as|like) (?:before|above|earlier|last time)\b",
    r"^(?!.*\b(?:is|are|as)\b).*(?<!at )\bthe same\b",
    r"^(?:option|number|choice|point|item|step) (?:\d+|[a-e]|one|two|three|four|five)$",
    r"^(?:in|for|to|with|without|as|from|into|on|at|by|only|not|until)(?: \w+){1,3}$",
    (
        r"^(?:\w+ ){0,3}(?:shorter|longer|cheaper|faster|slower|smaller|bigger|simpler|nicer|closer|stronger|easier"
        r"|funnier|older|younger|better)(?: ones?| version)?$"
    ),
    (
        r"^(?:(?:a bit|a little|much|make|even) )*(?:less|more) (?:formal|casual|detailed|specific|polite|friendly"
        r"|concise|technical|precise|professional|creative|recent|expensive)$"
    ),
)
_FOLLOW_UP: Final = tuple(re.compile(pattern) for pattern in _FOLLOW_UPS)


@dataclass(frozen=True, slots=True)
class _Word:
    text: str  # in small letters, without what a contraction has added
    clause: int
    is_name: bool  # a capital that no sentence begins with


def reference_in(query: str) -> str | None:
    """The words by which an English query refers to what was said before; None if it stands by itself."""
    head, brings_content = _head(query)
    text = _HARMLESS.sub(_STRUCK, _FILLING.sub(" ", head))
    words = _words(text)
    plain = re.sub(r"\s*([,;:])\s*", r"\1 ", re.sub(r"[.!?()…]+", " ", text.lower()))
    plain = " ".join(plain.split())
    for pattern in _FOLLOW_UP:
        if found := pattern.search(plain):
            return found.group().strip(" ,")
    # "this" and "it" may be the text that the query brings along.
    brought = {"this", "these", "it"} if brings_content else set[str]()
    for place, word in enumerate(words):
        if not word.is_name and word.text not in brought and any(rule(words, place) for rule in _RULES):
            return word.text
    return None


def _head(query: str) -> tuple[str, bool]:
    """What a query asks, without the text that it may bring along; and whether it brings one."""
    query = query.strip()[:LONGEST].replace("’", "'")
    head = re.split(r"\n|:\s|```", query, maxsplit=1)[0]
    if head == query or len(head.split()) < 2:
        return query, bool(re.search(r"[\"“«`]", query))
    return head, True


def _words(text: str) -> list[_Word]:
    shouts = text.isupper()
    words: list[_Word] = []
    clause, is_first = 0, True
    for found in _WORD.finditer(text):
        word, mark = found.groups()
        if mark:
            clause, is_first = clause + 1, bool(set(mark) & set(".!?"))
            continue
        plain = word.lower().split("'")[0]
        clause += plain in BOUNDARIES
        is_acronym = len(word) > 1 and word.isupper()
        is_name = word[0].isupper() and plain != "i" and not shouts and (is_acronym or not is_first)
        words.append(_Word(plain, clause, is_name))
        is_first = False
    return words


# Rules. Each says whether the word at a place points to something outside of the query.


def _is_pronoun_alone(words: Sequence[_Word], place: int) -> bool:
    word = words[place]
    if word.text not in PERSONS | THINGS:
        return False
    following = _following(words, place)
    is_possessive = word.text in POSSESSIVES and following is not None and _is_content(following)
    # "cats clean their fur", "tell Anna she won": but what "a poem about it" is about, is not the poem.
    is_free = is_possessive or word.text in SUBJECTS
    before = [at for at in range(place) if is_free or words[at].clause < word.clause]
    if word.text in PERSONS:
        return not any(words[at].is_name or words[at].text in PEOPLE for at in before)
    return not any(_is_noun(words, at) for at in before)


def _is_pointing(words: Sequence[_Word], place: int) -> bool:
    word = words[place]
    if word.text not in {"this", "that", "these", "those"}:
        return False
    following = _following(words, place)
    if word.text == "that" and _is_conjunction(words, place):
        return False
    if following is not None and _is_content(following):  # "this Friday", "a book, and that book"
        return not following.is_name and all(earlier.text != following.text for earlier in words[:place])
    return not _has_thing_before(words, place)


def _is_conjunction(words: Sequence[_Word], place: int) -> bool:
    """Whether a "that" only joins two clauses."""
    if place == 0 or _following(words, place) is None:
        return False
    previous = words[place - 1]
    if previous.text in PREPOSITIONS | AUXILIARIES:
        return False
    clause = [at for at in range(max(place - 4, 0), place) if words[at].clause == words[place].clause]
    return previous.text in SAYING or previous.text.endswith("s") or any(_is_noun(words, at) for at in clause)


def _is_one_of_those(words: Sequence[_Word], place: int) -> bool:
    if words[place].text not in {"one", "ones"} or place == 0:
        return False
    following = _following(words, place)
    if following is not None and following.text not in PREPOSITIONS | AUXILIARIES:
        return False
    before = {word.text for word in words[max(place - 2, 0) : place]}
    if not before & {"a", "an", "the", "another", "which", "that", "this", "other", "these", "those"}:
        return False
    lists = any(word.text == "or" for word in words[place:])
    return not lists and not _has_thing_before(words, place)


def _is_place(words: Sequence[_Word], place: int) -> bool:
    following = _following(words, place)
    if words[place].text != "there" or (following is not None and following.text not in TIMES):
        return False
    return not _has_thing_before(words, place)


_RULES: Final[Sequence[Callable[[Sequence[_Word], int], bool]]] = (
    _is_pronoun_alone,
    _is_pointing,
    _is_one_of_those,
    _is_place,
)


def _has_thing_before(words: Sequence[_Word], place: int) -> bool:
    """Whether an earlier clause of the query has something that a word may mean."""
    return any(_is_noun(words, at) for at in range(place) if words[at].clause < words[place].clause)


def _following(words: Sequence[_Word], place: int) -> _Word | None:
    """The next word of the same clause."""
    following = words[place + 1] if place + 1 < len(words) else None
    return following if following is not None and following.clause == words[place].clause else None


def _is_content(word: _Word) -> bool:
    return word.is_name or is_telling(word.text)


def _is_noun(words: Sequence[_Word], place: int) -> bool:
    """Whether a word looks like a thing: a name, a word after a determiner, or after another word with a meaning."""
    word = words[place]
    if word.is_name:
        return True
    previous = words[place - 1] if place else None
    if previous is None or not is_telling(word.text):
        return False
    return previous.text in DETERMINERS or previous.text.isdigit() or is_telling(previous.text)
