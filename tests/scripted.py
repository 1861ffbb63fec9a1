"""A model that answers from a script, and searches on a small world with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autotts.agents import Agent, Settings
from autotts.agents.llm import ModelAgent
from autotts.agents.models import Reply, Request, ToolCall
from autotts.archive import Archive
from autotts.evaluation import Evaluator
from autotts.search import Config, Search, default_selector, start_run
from tests.small import small_environment

USAGE = {"input": 100, "output": 10}

GOOD = '''"""Read {n} branches, and more with β."""

from autotts.toolkit import majority


def schedule(beta):
    return {{"n": round({n} + 4 * beta)}}


def solve(episode, knobs):
    wave = episode.branches(knobs["n"])
    episode.finish(episode.active)
    return majority(episode.probe(wave), skip_unparsed=True)
'''


def good(n: int = 1) -> str:
    return GOOD.format(n=n)


def fenced(source: str, before: str = "Hypothesis: it is so.") -> str:
    return f"{before}\n\n```python\n{source}```\n"


Step = Reply | BaseException | Callable[[Request], Reply]


def says(text: str, stop: Any = "end", **usage: int) -> Reply:
    return Reply(text, (), stop, usage or USAGE)


def calls(*named: tuple[str, dict[str, Any]], text: str = "") -> Reply:
    made = tuple(ToolCall(f"c{k}", name, arguments) for k, (name, arguments) in enumerate(named))
    return Reply(text, made, "tools", USAGE)


class ScriptedModel:
    """A `Model`: its n-th answer is the n-th step; what it was asked is kept."""

    def __init__(self, steps: Sequence[Step], tools: bool = False, name: str = "openai-compatible/scripted") -> None:
        self.name = name
        self.tools = tools
        self.steps = list(steps)
        self.asked: list[Request] = []

    def ask(self, request: Request, timeout: float) -> Reply:
        self.asked.append(request)
        step = self.steps[len(self.asked) - 1]
        if isinstance(step, BaseException):
            raise step
        return step if isinstance(step, Reply) else step(request)


@contextmanager
def small_search(path: Path, agents: Sequence[Agent], run: str = "run-1", **options: Any) -> Iterator[Search]:
    """A search on a small world, in an archive at a path; the run is begun, or gone on with."""
    options = {"rounds": 1, "proposals_per_round": 1, "betas": 2, "seeds": 1, "screen_seeds": 1, **options}
    config = Config(agents=tuple(agent.name for agent in agents), **options)
    environments = [small_environment()]
    with Archive(path) as archive, Evaluator(environments, 1) as evaluator:
        name = start_run(archive, run, config, environments)
        yield Search(
            archive, name, config, environments, agents, default_selector(environments, config.selector), evaluator
        )


def model_agent(steps: Sequence[Step], tools: bool = False, name: str = "openai-compatible/scripted", **settings: Any):
    """(agent, model) of a script."""
    model = ScriptedModel(steps, tools, name)
    return ModelAgent(model, Settings(**settings)), model


def edit(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def proposals(path: Path, run: str = "run-1") -> list[Any]:
    with Archive(path, create=False) as archive:
        return [p for p in archive.proposals(run) if p.round]
