"""A model in this process that answers at once, the same for the same question, seed and prefix."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator

from autotts.live.growth import Piece, Token
from autotts.live.model import Asked, Said


class FakeModel:
    """Branches of `least` to `most` tokens that end in an answer of 0 … `answers` − 1.

    Args:
        seconds: that a token takes.
    """

    name = "fake"

    def __init__(self, least: int = 20, most: int = 90, answers: int = 3, seconds: float = 0.0) -> None:
        self.least, self.most, self.answers, self.seconds = least, most, answers, seconds
        self.open = 0
        """Branches that are being streamed now."""
        self.probed: list[str] = []
        self.asked: list[tuple[str, int]] = []

    async def ask(self, question: str) -> Asked:
        return Asked(question)

    async def branch(self, asked: Asked, seed: int, prefix: str = "", spent: int = 0) -> AsyncIterator[Piece]:
        self.asked.append((asked.question, seed))
        draw = random.Random(f"{asked.question}/{seed}")
        total = draw.randint(self.least, self.most)
        self.open += 1
        try:
            for k in range(1, total + 1):
                if k > spent:
                    await asyncio.sleep(self.seconds)
                text = f"{seed}.{k} " if k < total else f"\\boxed{{{draw.randrange(self.answers)}}}"
                token = Token(text, math.log(draw.uniform(0.2, 1.0)), draw.random())
                if k > spent:
                    yield Piece(text, k, (token,), ended=k == total)
        finally:
            self.open -= 1

    async def probe(self, asked: Asked, prefix: str) -> Said:
        self.probed.append(prefix)
        await asyncio.sleep(self.seconds)
        answer = random.Random(f"{asked.question}/{prefix}").randrange(self.answers)
        return Said("\n\nThe final answer is \\boxed{", f"{answer}}}", 2, len(prefix.split()) + 8, 0.001)
