"""The port to whatever turns texts into vectors that are near each other if their meanings are."""

import math
from collections.abc import Sequence
from operator import mul
from typing import Protocol


class Embedder(Protocol):
    """Turns texts into vectors. `name` tells the vectors of one apart from those of another."""

    @property
    def name(self) -> str:
        """As users write it: "openai:text-embedding-3-small"."""
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One vector for each text, all of the same length."""
        ...


def likeness(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of two vectors: 1 for the same direction, 0 for nothing in common, also with a vector of zeros."""
    lengths = math.sqrt(sum(map(mul, one, one)) * sum(map(mul, other, other)))
    return sum(map(mul, one, other)) / lengths if lengths else 0.0
