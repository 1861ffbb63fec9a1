"""A search that kills itself (signal 9) at its n-th SQL statement: for tests of what is left behind.

    python -m tests.killed_search

reads lines "PATH N AFTER" and runs a search in the archive at PATH in a process of its own, for each; N = 0 lets it
come to its end. Answers with the process's wait status, and the number of statements of a run that ended.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autotts.agents import Context, Proposal, make_agent
from autotts.archive import Archive
from autotts.evaluation import Evaluator
from autotts.search import Config, Search, default_selector, start_run
from tests.scripted import good
from tests.small import small_environment


class Paid:
    """Answers by the slot alone; every answer is a call that costs, and is counted in a file."""

    name = "paid"
    concurrent = True

    def __init__(self, asked: Path) -> None:
        self._asked = asked

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        purse = context.purse
        assert purse is not None
        text = purse.recorded()
        if text is None:
            number = purse.begin("Write.", {}, 100, 0.5)
            with self._asked.open("a") as file:
                file.write(f"{context.round}.{context.slot}\n")
            text = json.dumps({"text": str(rng.randrange(1, 7))})
            purse.end(number, "ok", text, {"input": 10}, 10, 0.1)
        return Proposal(good(int(json.loads(text)["text"])), tuple(c.id for c in context.parents), text)


def search(path: Path) -> None:
    """Run to the end, with overlapping rounds and several threads of each kind."""
    agents: list[Any] = [Paid(path.with_suffix(".asked")), make_agent("evolution")]
    names = tuple(agent.name for agent in agents)
    config = Config(names, rounds=2, proposals_per_round=3, betas=2, seeds=2, screen_seeds=1, lag=1)
    environments = [small_environment(questions=4), small_environment("other", questions=4, seed=1)]
    with Archive(path) as archive, Evaluator(environments, 2) as evaluator:
        run = start_run(archive, "run-1", config, environments)
        Search(archive, run, config, environments, agents, default_selector(environments), evaluator, askers=3).go()


def main() -> None:
    """Serve; one process a search, from one that has imported everything and has no threads."""
    for line in sys.stdin:
        path, at, after = line.split()
        read, write = os.pipe()
        if pid := os.fork():
            os.close(write)
            with os.fdopen(read) as told:
                count = told.read()
            _, status = os.waitpid(pid, 0)
            print(status, count or 0, flush=True)
            continue
        statements = 0

        def count_one(*_: Any) -> None:
            nonlocal statements
            statements += 1
            if statements == int(at):  # noqa: B023
                os.kill(os.getpid(), signal.SIGKILL)

        sa.event.listen(sa.Engine, "after_cursor_execute" if after == "1" else "before_cursor_execute", count_one)
        code = 1
        try:
            search(Path(path))
            os.write(write, str(statements).encode())
            code = 0
        finally:
            os._exit(code)


if __name__ == "__main__":
    main()
