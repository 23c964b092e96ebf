"""An embedder for tests and demonstrations, without a model or a network."""

import re
from collections.abc import Sequence

from assent.codec import digest

_WORD = re.compile(r"\w+")


class WordEmbedder:
    """Texts are near each other if they share words; the same in every process.

    Each word adds to a place of the vector that is found by its digest; `embedded` keeps the texts that were asked for.
    """

    name = "words"

    def __init__(self, dimensions: int = 512) -> None:
        self.embedded: list[str] = []
        self._dimensions = dimensions

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.embedded += texts
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self._dimensions
        for word in _WORD.findall(text.casefold()):
            vector[int(digest(word)[:8], 16) % self._dimensions] += 1.0
        return vector
