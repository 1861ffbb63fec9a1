"""An endpoint in the tests' own process, and one in a process of its own: python -m tests.serving.

Its controller does as the question says: "6 * 7 sleep=0.2 fail=busy"; the answer is the question's first word.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from autotts.agents.models import Busy, TooLong
from autotts.errors import Crashed, InputError, SandboxError, ServerError
from autotts.live.serve.log import AccessLog
from autotts.live.serve.run import listening, serve, serve_until_told, url_of
from autotts.live.serve.schema import Terms
from autotts.live.serve.service import Service, Settings
from autotts.live.server import Silent
from autotts.live.solution import Solution


def _busy() -> Exception:
    error = ServerError("the upstream is busy; tried for 10 s")
    error.__cause__ = Busy("busy", 7.2)
    return error


def _silent() -> Exception:
    error = ServerError("the upstream sent nothing of use for too long")
    error.__cause__ = Silent("the upstream")
    return error


FAILURES = {
    "silent": _silent,
    "busy": _busy,
    "down": lambda: ServerError("no connection"),
    "refused": lambda: InputError("upstream answered 401: wrong key"),
    "long": lambda: TooLong("the prompt is too long"),
    "program": lambda: Crashed("ZeroDivisionError", 12),
    "sandbox": lambda: SandboxError("fork failed"),
    "bug": lambda: ValueError("nobody is told this"),
}


class Stub:
    """A controller that obeys the question."""

    def __init__(self) -> None:
        self.open = 0
        self.most_open = 0
        self.asked: list[dict[str, Any]] = []

    async def solve(
        self,
        question: str,
        beta: float,
        seed: int = 0,
        *,
        most_tokens: int | None = None,
        most_seconds: float | None = None,
    ) -> Solution:
        said = dict(word.split("=") for word in question.split() if "=" in word)
        self.asked.append(
            {"question": question, "beta": beta, "seed": seed, "tokens": most_tokens, "seconds": most_seconds}
        )
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(float(said.get("sleep", 0)))
        finally:
            self.open -= 1
        if "fail" in said:
            raise FAILURES[said["fail"]]()
        tokens = int(said.get("tokens", 1000))
        cut = most_tokens is not None and most_tokens < tokens
        answer = None if "none" in said else question.split()[0]
        text = "" if answer is None else f"Thinking of {question} …\n\n\\boxed{{{answer}}}"
        votes = {} if answer is None else {answer: 3, "other": 1}
        return Solution(
            answer, text, votes, 0.75 if votes else None, tokens, tokens // 2, tokens + 50, probes=4, probe_tokens=24,
            prompt_tokens=90, branches=4, finished=4, finished_tokens=(tokens // 4,) * 4, pruned=0, depths=(1,) * 4,
            seconds=0.5, stopped="tokens" if cut else "", beta=beta, knobs={},
        )  # fmt: skip


def make_service(stub: Stub, log: AccessLog | None = None, drift: Any = None, **settings: Any) -> Service:
    """A service of a stub; `beta`, `temperature` … go into its terms."""
    names = ("beta", "seed", "temperature", "top_p", "most_tokens")
    terms = Terms("m", **{"beta": 0.5, **{name: settings.pop(name) for name in names if name in settings}})
    return Service(stub, Settings("stub", terms, **settings), log or AccessLog(notice=lambda _: None), drift)


class Serving:
    """An endpoint that is served: its address, and how to end it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.listener = listening("127.0.0.1", 0)
        self.url = url_of(self.listener)
        self.ending, self.hurry = asyncio.Event(), asyncio.Event()


@asynccontextmanager
async def served(stub: Stub, **settings: Any) -> AsyncIterator[Serving]:
    """Serve in this loop; nothing of it may be left afterwards."""
    before = asyncio.all_tasks()
    serving = Serving(make_service(stub, **settings))
    running = asyncio.create_task(serve(serving.service, serving.listener, serving.ending, serving.hurry))
    try:
        yield serving
    finally:
        serving.ending.set()
        serving.hurry.set()
        await running
        serving.listener.close()
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    assert not left and stub.open == 0


async def _main(settings: dict[str, Any]) -> int:
    service = make_service(Stub(), AccessLog(), **settings)
    listener = listening("127.0.0.1", 0)
    print(url_of(listener), flush=True)
    return await serve_until_told(service, listener)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main({name: int(value) for name, value in (word.split("=") for word in sys.argv[1:])})))
