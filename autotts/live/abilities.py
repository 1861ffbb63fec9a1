"""What a server can do, found out by asking it: how a text is continued, and how tokens are counted.

Nothing is believed of a server by its name: each of vLLM, SGLang, llama.cpp and Ollama does some of this from some
version on, and gateways before them leave things out.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from autotts.agents.models import Lost
from autotts.errors import InputError
from autotts.live.counting import Counting
from autotts.live.server import Server
from autotts.live.ways import Api, Chat, Completions, Template, Way, templated
from autotts.live.wire import Chunk, read_chunk

__all__ = ["Abilities", "find_out"]

FULL_READ = "do without probes (--full-read): self-consistency, ASC and ESC read branches at their ends only"

ALTERNATIVES = 5
"""Log-probabilities that are asked for at each token; more than most servers' limit would be refused."""

TRIED = 12
"""Tokens of the answer that is looked at."""

USAGE = {"stream_options": {"include_usage": True, "continuous_usage_stats": True}, "timings_per_token": True}
"""Asks for the tokens so far with every chunk, as vLLM and SGLang call it, and llama.cpp.

What else is there of llama.cpp's tokens misleads: those that are a part of a character come with the last one, as one.
"""

PLAIN_USAGE = {"stream_options": {"include_usage": True}}
IDS = {"return_token_ids": True}


@dataclass(frozen=True)
class Abilities:
    """What was found.

    Attributes:
        way: how a question is put.
        extras: fields of a streamed request that the server takes.
        counting: how tokens are counted.
        scores: whether log-probabilities come along.
        probes: whether a given text can be continued.
        apart: whether thinking comes apart from the answer, without its marks.
    """

    way: Way
    extras: Mapping[str, Any]
    counting: Counting
    scores: bool
    probes: bool
    apart: bool

    def words(self) -> str:
        """In one line, for people."""
        way = self.way
        put = "chat" if isinstance(way, Chat) else f"completions, template {way.template or 'of your own'}"
        told = {"usage": "usage", "ids": "token ids", "scores": "log-probabilities", "chunks": "chunks"}
        counted = told.get(self.counting, "your tokenizer")
        return f"{put}; tokens by {counted}; {'' if self.scores else 'no '}log-probabilities"


async def find_out(server: Server, api: Api, tokenizer: bool, full_read: bool) -> Abilities:
    """Find out how this server is to be asked.

    Args:
        server: whom.
        api: as the user says; "auto" to find out.
        tokenizer: whether tokens are counted by a tokenizer of the user's.
        full_read: whether no text need be continued.

    Raises:
        Busy, Lost: it does not answer.
        InputError: no such model, or the server can do neither of what is needed: what is missing, what helps.
    """
    await _check_model(server)
    way = await _way(server, api)
    found = await _tried(server, way, tokenizer)
    if isinstance(way, Chat) and not full_read:
        await _check_open(server, trusted=api == "chat")
    return replace(found, probes=not (isinstance(way, Chat) and full_read))


async def _check_model(server: Server) -> None:
    """Refuse a name that the server does not list; a server without a list is believed."""
    try:
        listed = await server.get("/models")
    except InputError as error:
        if " 404" in str(error) or " 405" in str(error):
            return
        raise
    rows = listed.get("data") if isinstance(listed, dict) else None
    names = [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row] if isinstance(rows, list) else []
    if names and server.model not in names:
        more = ", …" if len(names) > 12 else ""
        raise InputError(f"{server}: there is no such model; there is {', '.join(names[:12])}{more}")


async def _way(server: Server, api: Api) -> Way:
    if api == "raw":
        return Completions("")
    if api == "chat":
        return Chat()
    choices: tuple[Template, ...] = ("llama.cpp", "vllm")
    for template in choices:
        try:
            await templated(server, template, [{"role": "user", "content": "Hello"}])
        except (InputError, Lost):
            continue
        return Completions(template)
    if api == "completions":
        raise InputError(
            f"{server}: does not tell its chat template (neither /apply-template nor /tokenize with messages), which "
            "raw completions need; use --api chat, or --api raw with a template `prompt` of your own"
        )
    return Chat()


async def _tried(server: Server, way: Way, tokenizer: bool) -> Abilities:
    """Ask for a short answer with all that is of use, then with less, until the server takes it."""
    prompt = "1 2 3 4 5" if isinstance(way, Completions) else "Count from 1 to 20."
    scores = dict(way.scores(ALTERNATIVES))
    sets: tuple[dict[str, Any], ...] = ({**scores, **USAGE, **IDS}, {**scores, **PLAIN_USAGE}, PLAIN_USAGE, {})
    refusal = InputError("")
    for extras in sets:
        body = {"model": server.model, **way.body(prompt, ""), "max_tokens": TRIED, "temperature": 0, "stream": True}
        try:
            chunks = await _chunks(server, way, {**body, **extras})
        except InputError as error:
            refusal = error
            continue
        counting = "tokenizer" if tokenizer else _counting(server, chunks)
        scored, apart = any(chunk.tokens for chunk in chunks), any(chunk.thought for chunk in chunks)
        return Abilities(way, extras, counting, scored, probes=True, apart=apart)
    raise refusal


async def _chunks(server: Server, way: Way, body: Mapping[str, Any]) -> list[Chunk]:
    chunks: list[Chunk] = []
    async with aclosing(server.stream(way.path, body)) as stream:
        async for value in stream:
            if not chunks and "choices" not in value:
                raise InputError(
                    f"{server}: streams something else than an OpenAI-compatible API does; see the address, which "
                    "mostly ends in /v1"
                )
            chunks.append(read_chunk(value))
    return chunks


def _counting(server: Server, chunks: list[Chunk]) -> Counting:
    """How these chunks can be counted, so that what is counted is what the server says in the end."""
    said = [chunk for chunk in chunks if chunk.text or chunk.thought]
    if not said:
        raise InputError(
            f"{server}: says nothing to a short question, so its tokens cannot be counted; see whether it answers"
        )
    told = next((chunk.counted for chunk in reversed(chunks) if chunk.counted), None)
    steps = [chunk.counted for chunk in said]
    if all(steps) and len(set(steps)) > 1 and steps == sorted(steps, key=lambda n: n or 0):
        return "usage"
    counts: dict[Counting, int] = {
        "ids": sum(chunk.ids or 0 for chunk in chunks),
        "scores": sum(len(chunk.tokens) for chunk in chunks),
        "chunks": len(said),
    }
    for counting, count in counts.items():
        # The token that ends an answer is counted by some, and shown by few.
        if count and (told is None or told - 1 <= count <= told) and (told is not None or counting != "chunks"):
            return counting
    raise InputError(
        f"{server}: tells no token counts that can be used (usage says {told}, {counts['scores']} log-probabilities "
        f"and {counts['chunks']} pieces came); give the model's tokenizer.json with --tokenizer"
    )


async def _check_open(server: Server, trusted: bool) -> None:
    """Refuse a server that closes the last message of the assistant instead of going on from it.

    An open message adds its own tokens to the prompt; a closed one adds the marks of its end and of the next message
    too. Its own tokens are known from the same text twice as long.

    Args:
        server: whom.
        trusted: the user says that it can: only a proof of the contrary counts.
    """
    text = "one two three four five six seven eight"
    sizes = []
    for prefix in ("", f"{text} {text}", f"{text} {text} {text} {text}"):
        body = {"model": server.model, **Chat().body("Count.", prefix), "max_tokens": 1, "temperature": 0}
        try:
            sizes.append(read_chunk(await server.post("/chat/completions", body)).prompt_tokens)
        except InputError:
            sizes = [None]
            break
    known = [size for size in sizes if size is not None]
    if len(known) == 3:
        own = known[2] - known[1]
        if known[1] - known[0] <= own + 1 and own > 0:
            return
    elif trusted and sizes != [None]:
        return
    raise InputError(
        f"{server}: can neither continue a prompt by raw completions nor a chat whose last message is left open, so no "
        f"branch can be probed there; {FULL_READ}, or use a server that can (vLLM, SGLang, llama.cpp, Ollama)"
    )
