"""A model server in a process of its own that speaks tokens over HTTP: seeded, or from a recording.

It imports nothing of ours, so that what agrees with it does not agree with itself.

    python tests/token_server.py --port 0 [--recording FILE] …

Branch `seed` of a question has T tokens: "t<seed>.<k> " for k < T, and a last one with its answer in a box. So a prefix
says by itself which branch it is of and how far that has come. A recording is JSON: {"interval": Δ, "questions":
[{"question": text, "branches": [[probes, tokens, final], …]}]}; there the seed of a request is the branch's number.
Whatever else it is asked it answers as if there were no recording, as a model would.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

PLACE = re.compile(r"t(\d+)\.(\d+) ")
SUM = re.compile(r"\d+(?: \+ \d+)+")
USER, ASSISTANT = "<|user|>", "<|assistant|>"


@dataclass(frozen=True)
class Branch:
    """Tokens of one branch, its last one's answer, and what a probe says after k of them."""

    total: int
    final: str
    probes: tuple[str, ...] = ()
    interval: int = 16

    def probe(self, tokens: int) -> str:
        at = tokens // self.interval
        return self.probes[max(0, at - 1)] if 0 < len(self.probes) >= at else self.final


@dataclass
class Book:
    """Which branches there are."""

    least: int
    most: int
    right: float
    recording: dict[str, list[Any]] = field(default_factory=dict)
    interval: int = 16
    fractions: bool = False

    def branch(self, prompt: str, seed: int) -> Branch:
        question = max((q for q in self.recording if q in prompt), key=len, default=None)
        if question is not None:
            probes, total, final = self.recording[question][seed]
            return Branch(total, final, tuple(probes), self.interval)
        draw = random.Random(hashlib.sha256(f"{prompt}/{seed}".encode()).hexdigest())
        found = SUM.search(prompt)
        gold = sum(map(int, found[0].split(" + "))) if found else draw.randrange(10)
        total = draw.randint(self.least, self.most)

        def answer(share: float) -> str:
            value = gold if draw.random() < share else gold + draw.randint(1, 3)
            return f"\\frac{{{value}}}{{7}}" if self.fractions else str(value)

        probes = [answer(self.right * k / total) for k in range(self.interval, total, self.interval)]
        return Branch(total, answer(self.right), tuple(probes), self.interval)


class Server:
    """The dialect, the failures, and the requests."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags
        self.book = Book(flags.least, flags.most, flags.right, fractions=flags.fractions)
        if flags.recording:
            recording = json.loads(Path(flags.recording).read_text())
            self.book.recording = {q["question"]: q["branches"] for q in recording["questions"]}
            self.book.interval = recording["interval"]
        self.log = Path(flags.log).open("a") if flags.log else None  # noqa: SIM115
        self.requests = 0
        self.running = self.most_running = self.cancelled = 0

    # ---- addresses -------------------------------------------------------------------------------------------------

    def app(self) -> Starlette:
        post = ["POST"]
        routes = [
            Route("/v1/models", self.models),
            Route("/state", self.state),
            Route("/v1/completions", self.completions, methods=post),
            Route("/v1/chat/completions", self.chat, methods=post),
        ]
        if self.flags.template == "llama.cpp":
            routes.append(Route("/apply-template", self.apply_template, methods=post))
        if self.flags.template == "vllm":
            routes += [
                Route("/tokenize", self.tokenize, methods=post),
                Route("/detokenize", self.tokenize, methods=post),
            ]
        return Starlette(routes=routes)

    async def models(self, request: Request) -> Response:
        if self.flags.key and request.headers.get("authorization") != f"Bearer {self.flags.key}":
            return _error(401, "wrong key")
        return JSONResponse({"object": "list", "data": [{"id": "stub", "object": "model"}]})

    async def state(self, request: Request) -> Response:
        counts = {"running": self.running, "most": self.most_running, "cancelled": self.cancelled}
        return JSONResponse({**counts, "requests": self.requests})

    async def apply_template(self, request: Request) -> Response:
        return JSONResponse({"prompt": self.prompt_of((await request.json())["messages"])})

    async def tokenize(self, request: Request) -> Response:
        body = await request.json()
        if "messages" in body:
            return JSONResponse({"tokens": list(map(ord, self.prompt_of(body["messages"])))})
        return JSONResponse({"prompt": "".join(map(chr, body["tokens"]))})

    def prompt_of(self, messages: list[dict[str, str]], open_: bool = False) -> str:
        text = "".join(f"<|{m['role']}|>\n{m['content']}\n" for m in messages)
        if open_ and self.flags.chat == "open" and messages[-1]["role"] == "assistant":
            return text.removesuffix("\n")
        return text + f"{ASSISTANT}\n" + ("<think>\n" if self.flags.thinking else "")

    async def completions(self, request: Request) -> Response:
        if self.flags.no_completions:
            return _error(404, "no such address")
        body = await request.json()
        return await self.answer(request, body, body["prompt"], "text_completion", "")

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        messages = body["messages"]
        echo = messages[-1]["content"] if self.flags.echo and messages[-1]["role"] == "assistant" else ""
        return await self.answer(request, body, self.prompt_of(messages, open_=True), "chat.completion", echo)

    # ---- answers ---------------------------------------------------------------------------------------------------

    async def answer(self, request: Request, body: dict[str, Any], prompt: str, kind: str, echo: str) -> Response:
        flags, self.requests = self.flags, self.requests + 1
        if flags.key and request.headers.get("authorization") != f"Bearer {flags.key}":
            return _error(401, f"wrong key {request.headers.get('authorization')}")
        places = PLACE.findall(prompt)
        question = PLACE.split(prompt)[0]
        seed, spent = (int(places[-1][0]), int(places[-1][1])) if places else (int(body.get("seed") or 0), 0)
        cued = bool(places) and not prompt.endswith(f"t{seed}.{spent} ")
        if self.log is not None:
            row = {"question": question[-200:], "seed": seed, "spent": spent, "probe": cued, "time": time.time()}
            self.log.write(json.dumps(row) + "\n")
            self.log.flush()
        if flags.fail_every and self.requests % flags.fail_every == 0:
            return _error(503, "busy", {"retry-after": "0.05"})
        if flags.strict and (body.keys() & {"return_token_ids", "continue_final_message"}):
            return _error(400, "unknown field return_token_ids")
        branch = self.book.branch(question, seed)
        if cued:
            tokens, end = [branch.probe(spent), "}"], "stop"
        else:
            tokens = [f"t{seed}.{k} " for k in range(spent + 1, branch.total)] + [f"\\boxed{{{branch.final}}}"]
            end = "stop"
        if len(tokens) > (most := int(body.get("max_tokens") or 1 << 30)):
            tokens, end = tokens[:most], "length"
        answer = Answer(flags, body, prompt, kind, tokens, end, echo)
        if not body.get("stream"):
            await asyncio.sleep(flags.delay * len(tokens))
            return JSONResponse(answer.whole())
        drop = bool(flags.drop_every and self.requests % flags.drop_every == 0)
        return StreamingResponse(self.stream(answer, drop), media_type="text/event-stream")

    async def stream(self, answer: Answer, drop: bool) -> AsyncIterator[str]:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            n, batch = len(answer.tokens), self.flags.batch
            for k in range(0, n, batch):
                if self.flags.delay or k % 64 == 0:
                    await asyncio.sleep(self.flags.delay * min(batch, n - k))
                if drop and k >= n // 2:
                    raise ConnectionError("dropped on purpose")
                yield f"data: {json.dumps(answer.chunk(k, min(n, k + batch)))}\n\n"
            if (answer.body.get("stream_options") or {}).get("include_usage"):
                yield f"data: {json.dumps(answer.usage_chunk())}\n\n"
            yield "data: [DONE]\n\n"
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


class Answer:
    """One answer in the wire format of its kind."""

    def __init__(
        self,
        flags: argparse.Namespace,
        body: dict[str, Any],
        prompt: str,
        kind: str,
        tokens: list[str],
        end: str,
        echo: str,
    ) -> None:
        self.flags, self.body, self.kind, self.tokens, self.end, self.echo = flags, body, kind, tokens, end, echo
        self.prompt_tokens = len(prompt.split()) + 2 * prompt.count("<|")  # marks of turns are several tokens

    def usage(self, n: int) -> dict[str, int]:
        n += self.flags.eos and n == len(self.tokens) and self.end == "stop"
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": n, "total_tokens": self.prompt_tokens + n}

    def choice(self, low: int, high: int, delta: bool) -> dict[str, Any]:
        text = "".join(self.tokens[low:high])
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.end if high == len(self.tokens) else None}
        if self.kind == "text_completion":
            choice["text"] = text
        else:
            content = {"role": "assistant", "content": (self.echo if low == 0 else "") + text}
            choice["delta" if delta else "message"] = content
        if self.body.get("logprobs") and self.flags.logprobs:
            choice["logprobs"] = self.logprobs(low, high)
        if self.body.get("return_token_ids") and self.flags.counts == "ids":
            choice["token_ids"] = list(range(low, high))
        return choice

    def logprobs(self, low: int, high: int) -> dict[str, Any]:
        tokens = self.tokens[low:high]
        values = [-0.05 - sum(token.encode()) % 7 / 10 for token in tokens]
        if self.kind == "text_completion" and self.flags.template != "llama.cpp":
            tops = [{token: value, "?": -2.5} for token, value in zip(tokens, values, strict=True)]
            return {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops}
        pairs = zip(tokens, values, strict=True)
        top = [{"token": "?", "logprob": -2.5}]
        return {
            "content": [
                {"token": t, "logprob": v, "top_logprobs": [{"token": t, "logprob": v}, *top]} for t, v in pairs
            ]
        }

    def chunk(self, low: int, high: int) -> dict[str, Any]:
        kind = self.kind if self.kind == "text_completion" else "chat.completion.chunk"
        chunk: dict[str, Any] = {"id": "x", "object": kind, "model": "stub", "choices": [self.choice(low, high, True)]}
        if self.flags.counts == "usage" and (self.body.get("stream_options") or {}).get("continuous_usage_stats"):
            chunk["usage"] = self.usage(high)
        return chunk

    def usage_chunk(self) -> dict[str, Any]:
        return {"id": "x", "object": "x", "model": "stub", "choices": [], "usage": self.usage(len(self.tokens))}

    def whole(self) -> dict[str, Any]:
        n = len(self.tokens)
        usage = self.usage(n)
        return {"id": "x", "object": self.kind, "model": "stub", "choices": [self.choice(0, n, False)], "usage": usage}


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": message, "code": status}}, status, headers)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--recording")
    parser.add_argument("--log", help="a JSON line a request")
    parser.add_argument("--least", type=int, default=20)
    parser.add_argument("--most", type=int, default=120)
    parser.add_argument("--right", type=float, default=0.7)
    parser.add_argument("--fractions", action="store_true", help="answers are sevenths")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds a token")
    parser.add_argument("--batch", type=int, default=1, help="tokens a chunk")
    parser.add_argument("--template", default="llama.cpp", choices=["llama.cpp", "vllm", "none"])
    parser.add_argument("--counts", default="usage", choices=["usage", "ids", "none"])
    parser.add_argument("--no-logprobs", dest="logprobs", action="store_false")
    parser.add_argument("--chat", default="open", choices=["open", "closed"])
    parser.add_argument("--no-completions", action="store_true")
    parser.add_argument("--echo", action="store_true", help="chat says again what it continues")
    parser.add_argument("--thinking", action="store_true", help="the template opens a <think>")
    parser.add_argument("--eos", action="store_true", help="usage counts a token that ends a branch")
    parser.add_argument("--strict", action="store_true", help="refuses fields that it does not know")
    parser.add_argument("--fail-every", type=int, default=0, help="every so many requests are answered 503")
    parser.add_argument("--drop-every", type=int, default=0, help="of every so many requests the stream breaks off")
    parser.add_argument("--key", default="")
    flags = parser.parse_args()
    sock = socket.create_server(("127.0.0.1", flags.port), backlog=4096)
    print(f"http://127.0.0.1:{sock.getsockname()[1]}/v1", flush=True)
    config = uvicorn.Config(Server(flags).app(), log_level="critical", access_log=False)
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main()
