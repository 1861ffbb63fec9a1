"""A model behind a server, ready to be asked: the `LiveModel` over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from autotts.agents.models import Busy, Lost
from autotts.errors import InputError, ServerError
from autotts.evaluation.evaluate import to_stderr
from autotts.live.abilities import Abilities, find_out
from autotts.live.counting import Counter, Tokenizer, load_tokenizer
from autotts.live.gate import Gate, patiently
from autotts.live.growth import Piece
from autotts.live.model import Asked, Said
from autotts.live.server import Server, Silent
from autotts.live.ways import CLOSED, OPEN, Api, is_thinking
from autotts.live.wire import Chunk, read_chunk
from autotts.prompts import Prompts

__all__ = ["Connection", "HttpModel", "Sampling", "connect"]


ENDS_ONLY = "use a controller that reads branches at their ends only (sc, asc, esc)"


@dataclass(frozen=True)
class Sampling:
    """How branches are drawn.

    Attributes:
        temperature, top_p: as servers know them; top_p None leaves the server's own.
        max_tokens: a branch is cut off after so many.
        stop: texts at which a branch ends; they are not part of it.
        probe_tokens: that a probe may answer with.
    """

    temperature: float = 0.7
    top_p: float | None = None
    max_tokens: int = 32_768
    stop: tuple[str, ...] = ()
    probe_tokens: int = 32

    def body(self, seed: int, spent: int) -> dict[str, Any]:
        """The part of a request that says how a branch goes on."""
        body: dict[str, Any] = {"temperature": self.temperature, "seed": seed, "max_tokens": self.max_tokens - spent}
        if self.top_p is not None:
            body["top_p"] = self.top_p
        if self.stop:
            body["stop"] = list(self.stop)
        return body


@dataclass(frozen=True)
class Connection:
    """Where a model is, and how it is asked.

    Attributes:
        base_url, model: address and name.
        sampling: of branches.
        api: see `autotts.live.ways.APIS`.
        tokenizer: a tokenizer.json, where the server tells no token counts.
        prompts: a folder of templates of one's own.
        deadline: seconds within which a request is tried again, and within which something of an answer must come.
        concurrency: requests at a time, None for as many as are asked.
        full_read: no probes; then the server need not continue a given text.
    """

    base_url: str
    model: str
    sampling: Sampling = field(default_factory=Sampling)
    api: Api = "auto"
    tokenizer: str | None = None
    prompts: str | None = None
    deadline: float = 600.0
    concurrency: int | None = None
    full_read: bool = False


@asynccontextmanager
async def connect(connection: Connection, notice: Callable[[str], None] = to_stderr) -> AsyncIterator[HttpModel]:
    """The model, after its server was asked what it can do.

    Args:
        connection: where it is, and how it is asked.
        notice: is told what is waited for, where the server does not answer yet.

    Raises:
        InputError: no such address, key, model, template or tokenizer, or the server lacks what is needed.
        ServerError: no answer within the deadline.
    """
    prompts = Prompts(Path(connection.prompts) if connection.prompts else None)
    tokenizer = load_tokenizer(connection.tokenizer) if connection.tokenizer else None
    server = Server(connection.base_url, connection.model, connection.deadline)
    try:
        asking = partial(find_out, server, connection.api, tokenizer is not None, connection.full_read)
        abilities = await patiently(asking, connection.deadline, notice)
        yield HttpModel(connection, server, abilities, prompts, tokenizer)
    finally:
        await server.close()


class HttpModel:
    """See `LiveModel`; made by `connect`.

    Attributes:
        name: of the model.
        abilities: what the server can do.
        prompts: the templates.
    """

    def __init__(
        self,
        connection: Connection,
        server: Server,
        abilities: Abilities,
        prompts: Prompts,
        tokenizer: Tokenizer | None,
    ) -> None:
        self.name = connection.model
        self.abilities = abilities
        self.prompts = prompts
        self._connection = connection
        self._server = server
        self._tokenizer = tokenizer
        self._gate = None if connection.concurrency is None else Gate(connection.concurrency)

    async def ask(self, question: str) -> Asked:
        """See `LiveModel.ask`."""
        putting = partial(self.abilities.way.prompt, self._server, self.prompts, question)
        return Asked(question, await patiently(putting, self._connection.deadline))

    async def branch(self, asked: Asked, seed: int, prefix: str = "", spent: int = 0) -> AsyncIterator[Piece]:
        """See `LiveModel.branch`."""
        if prefix and not self.abilities.probes:
            raise InputError(f"{self._server}: cannot let a branch go on from its text; {ENDS_ONLY}")
        way, connection = self.abilities.way, self._connection
        body = {
            "model": self.name,
            **way.body(asked.prompt, prefix),
            **connection.sampling.body(seed, spent),
            **self.abilities.extras,
            "stream": True,
        }
        counter = Counter(self.abilities.counting, spent, self._tokenizer)
        text = _Text(prefix, self.abilities.apart and is_thinking(prefix))
        ceiling = _Ceiling(connection.sampling.max_tokens - spent)
        async with AsyncExitStack() as held:
            opening = partial(self._open, held, way.path, body)
            first, stream = await patiently(opening, connection.deadline)
            end: Piece | None = None
            try:
                chunk: Chunk | None = first
                while chunk is not None:
                    total = counter.add(chunk)
                    ceiling.take(chunk, total - spent)
                    if chunk.ended or end is None:
                        piece = Piece(text.add(chunk), total, chunk.tokens, chunk.ended, chunk.truncated)
                        if piece.ended:
                            end = piece
                        elif piece.text or piece.tokens:
                            yield piece
                    chunk = await anext(stream, None)
            except (Busy, Lost) as error:
                raise ServerError(f"{error}; the branch had {counter.total:,} tokens") from error
            if end is None:
                raise ServerError(f"{self._server}: a branch ended without a word why, after {counter.total:,} tokens")
            yield Piece(end.text + text.rest(), counter.end(), end.tokens, True, end.truncated)

    async def _open(
        self, held: AsyncExitStack, path: str, body: Mapping[str, Any]
    ) -> tuple[Chunk, AsyncIterator[Chunk]]:
        """The first chunk of a stream and the others; the stream and its place are held until the stack is closed."""
        async with AsyncExitStack() as trying:
            await trying.enter_async_context(self._place())
            stream = self._chunks(path, body)
            trying.push_async_callback(stream.aclose)
            first = await anext(stream, None)
            if first is None:
                raise Lost(f"{self._server} streamed nothing")
            await held.enter_async_context(trying.pop_all())
            return first, stream

    async def _chunks(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        async with aclosing(self._server.stream(path, body)) as values:
            while True:
                try:
                    async with asyncio.timeout(self._connection.deadline):  # comments are no part of an answer
                        value = await anext(values, None)
                except TimeoutError:
                    raise Silent(self._server) from None
                if value is None:
                    return
                yield read_chunk(value)

    def _place(self) -> Any:
        return nullcontext() if self._gate is None else self._gate.place()

    async def probe(self, asked: Asked, prefix: str) -> Said:
        """See `LiveModel.probe`."""
        if self._connection.full_read:
            raise InputError(f"{self._server}: with --full-read no branch can be probed on its way; {ENDS_ONLY}")
        way = self.abilities.way
        cue = self.prompts.probe(asked.question, way.is_thinking(asked.prompt, prefix)).text
        scores = way.scores(1) if self.abilities.scores else {}
        body = {
            "model": self.name,
            **way.body(asked.prompt, prefix + cue),
            **scores,
            "temperature": 0,
            "seed": 0,
            "max_tokens": self._connection.sampling.probe_tokens,
        }

        async def once() -> Said:
            async with self._place():
                began = time.monotonic()
                chunk = read_chunk(await self._server.post(way.path, body))
                seconds = time.monotonic() - began
            # Some servers say again what they were given.
            text = (chunk.thought + chunk.text).removeprefix(prefix + cue)
            _check_length(len(text), self._connection.sampling.probe_tokens)
            tokens = chunk.counted if chunk.counted is not None else len(chunk.tokens)
            return Said(cue, text, tokens, chunk.prompt_tokens, seconds, chunk.tokens)

        return await patiently(once, self._connection.deadline)


def _check_length(text: int, tokens: int) -> None:
    """Refuse so many characters as an answer of so many tokens: one without an end would fill the memory.

    Raises:
        Lost: it is longer.
    """
    if text > 64 * (tokens + 64):
        raise Lost(f"the server goes on past the {tokens:,} tokens that it was asked for")


class _Ceiling:
    """What a stream of so many tokens comes to at most, for a server that does not heed what it is asked for."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._chunks = self._characters = 0

    def take(self, chunk: Chunk, total: int) -> None:
        """Count a chunk.

        Args:
            chunk: what came.
            total: tokens with it.

        Raises:
            Lost: that is too much.
        """
        self._chunks += 1
        self._characters += len(chunk.text) + len(chunk.thought)
        # A token may come in parts, and some chunks have none.
        _check_length(max(self._characters, 16 * self._chunks, 64 * total), self._tokens)


class _Text:
    """The text of a branch out of its chunks: thinking and answer as the model wrote them, without an echo of a prefix.

    Args:
        prefix: that the branch goes on from.
        thinking: whether it is within thinking, which the server parts from the answer.
    """

    def __init__(self, prefix: str, thinking: bool) -> None:
        self._echo = prefix
        self._held = ""
        self._thinking = thinking
        self._began = bool(prefix)

    def add(self, chunk: Chunk) -> str:
        """The text that a chunk adds."""
        text = ""
        if chunk.thought:
            text = chunk.thought if self._thinking or self._began else f"{OPEN}\n{chunk.thought}"
            self._thinking = True
        if chunk.text:
            text += f"\n{CLOSED}\n\n{chunk.text}" if self._thinking else chunk.text
            self._thinking = False
        self._began = self._began or bool(text)
        return self._without_echo(text)

    def _without_echo(self, text: str) -> str:
        if not self._echo:
            return text
        self._held += text
        if self._held.startswith(self._echo):
            text, self._held, self._echo = self._held[len(self._echo) :], "", ""
            return text
        if self._echo.startswith(self._held):
            return ""  # all of it may be an echo still
        text, self._held, self._echo = self._held, "", ""
        return text

    def rest(self) -> str:
        """What was held back in case that it was an echo."""
        text, self._held = self._held, ""
        return text
