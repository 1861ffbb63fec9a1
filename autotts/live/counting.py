"""How many tokens a branch has: by what the server tells, or by a tokenizer of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from autotts.errors import InputError
from autotts.live.wire import Chunk

__all__ = ["Counter", "Counting", "load_tokenizer"]

Counting = Literal["usage", "ids", "scores", "chunks", "tokenizer"]
"""By the usage told with every chunk, token ids, log-probabilities, a chunk a token, or a tokenizer of one's own."""

Tokenizer = Callable[[str], int]


SEGMENT = 400
"""Characters after which a text is counted for good, up to its last blank: counting all of it each time would take
ever longer."""


class Counter:
    """Tokens of one branch so far.

    Args:
        counting: how.
        spent: tokens that it had before.
        tokenizer: tokens of a text, where that is how.
    """

    def __init__(self, counting: Counting, spent: int = 0, tokenizer: Tokenizer | None = None) -> None:
        self._counting = counting
        self._spent = self._counted = spent
        self._tokenizer = tokenizer
        self._text = ""
        self._told: int | None = None
        self.total = spent

    def add(self, chunk: Chunk) -> int:
        """The tokens after a chunk."""
        counting = self._counting
        if counting == "tokenizer":
            self._add_text(chunk.thought + chunk.text)
        elif counting == "ids":
            self.total += chunk.ids or 0
        elif counting == "scores":
            self.total += len(chunk.tokens)
        elif counting == "chunks":
            self.total += bool(chunk.text or chunk.thought)
        elif chunk.counted is not None:
            self.total = max(self.total, self._spent + chunk.counted)
        self._told = self._told if chunk.counted is None else chunk.counted
        return self.total

    def end(self) -> int:
        """The tokens of the whole branch: the server's own count stands over any other, for it knows what it hid."""
        if self._told is not None and self._counting != "tokenizer":
            self.total = max(self._spent + self._told, self.total)
        return self.total

    def _add_text(self, text: str) -> None:
        assert self._tokenizer is not None
        self._text += text
        if len(self._text) > SEGMENT and (cut := max(self._text.rfind(" "), self._text.rfind("\n"))) > 0:
            self._counted += self._tokenizer(self._text[:cut])
            self._text = self._text[cut:]
        self.total = max(self.total, self._counted + self._tokenizer(self._text))


def load_tokenizer(path: str) -> Tokenizer:
    """The tokenizer in a file of the tokenizers library (tokenizer.json).

    Raises:
        InputError: it cannot be read, or the library is not installed.
    """
    try:
        from tokenizers import Tokenizer as Loaded
    except ImportError:
        raise InputError('--tokenizer needs the package tokenizers: pip install "autotts[tokenizer]"') from None
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; give the model's tokenizer.json")
    try:
        loaded: Any = Loaded.from_file(path)
    except Exception as error:  # the library raises nothing more particular
        raise InputError(
            f"{path}: is no tokenizer that can be read ({error}); give the model's tokenizer.json"
        ) from None
    return lambda text: len(loaded.encode(text, add_special_tokens=False).ids)
