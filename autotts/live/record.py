"""A recording from its questions to its environment: what the journal lacks is asked for, and its texts are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from autotts.agents.prices import Prices
from autotts.errors import InputError
from autotts.evaluation.evaluate import to_stderr
from autotts.live.collect import Plan, Watch, collect, is_complete
from autotts.live.connect import Connection, connect
from autotts.live.journal import Journal, journal_path
from autotts.live.purse import Purse, priced_name
from autotts.live.reading import Reader
from autotts.live.recording import build
from autotts.prompts import Prompts
from autotts.replay import Environment, Question, get_equivalence

__all__ = ["Recording"]

CONCURRENCY = 16
"""Requests at a time, where a connection does not say."""


class Recording:
    """Records an environment from a model server; a context manager. docs/collecting.md says what is asked.

    Everything that has ended is in a journal beside the environment, NAME.texts.jsonl. Made again with the same
    arguments, a recording goes on from there.

    Args:
        path: of the environment, .jsonl or .jsonl.gz; it is not written (`autotts.save_environment` does that).
        connection: where the model is, and how it is asked.
        questions: without branches.
        branches: of each question.
        interval: Δ in tokens.
        seed: of branch 0; branch b has seed + b.
        answers: how answers are read, see `autotts.live.reading.Reader`.
        equivalence: which answers count as one; None for that of `answers`.
        dataset: what the environment is called.
        max_branches: that an episode may open.
        max_cost: US dollars that all requests together may cost; None for no ceiling.
        prices: of models; None for the known ones.

    Raises:
        InputError: an argument is none that can be used, the journal holds another recording, another process records
            into it, or a price that `max_cost` needs is not known.
    """

    def __init__(
        self,
        path: str | Path,
        connection: Connection,
        questions: Sequence[Question],
        branches: int = 128,
        interval: int = 500,
        *,
        seed: int = 0,
        answers: str = "math",
        equivalence: str | None = None,
        dataset: str = "questions",
        max_branches: int = 64,
        max_cost: float | None = None,
        prices: Prices | None = None,
    ) -> None:
        sampling, at_a_time = connection.sampling, connection.concurrency or CONCURRENCY
        limits = sampling.max_tokens, sampling.probe_tokens
        self._plan = Plan(questions, branches, interval, seed, at_a_time, not connection.full_read, *limits)
        self._connection = connection
        with ExitStack() as held:
            self._reader = held.enter_context(Reader(answers))
            _check_golds(dataset, questions, self._reader)
            same = equivalence or self._reader.equivalence
            get_equivalence(same)
            self._header = Environment(
                connection.model, dataset, interval, (), max_branches=max_branches, equivalence=same
            )
            self._settings = _settings(self._plan, connection)
            about = {"recorded": f"{datetime.now(UTC):%Y-%m-%d}"}
            self._journal = held.enter_context(Journal(journal_path(Path(path)), self._settings, about))
            name = priced_name(connection.base_url, connection.model)
            self._purse = Purse(prices or Prices.read(None), name, max_cost, self._journal.usage)
            self._held = held.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._held.close()

    @property
    def journal(self) -> Path:
        """Where what has ended is kept."""
        return self._journal.path

    @property
    def is_complete(self) -> bool:
        """Whether all of it is there, so that nobody need be asked."""
        return is_complete(self._journal, self._plan)

    @property
    def spent(self) -> float | None:
        """US dollars at most, over all starts; None where the model's price is not known."""
        return self._purse.spent

    async def collect(self, watch: Watch = lambda _: None, notice: Callable[[str], None] = to_stderr) -> None:
        """Ask for what is not there yet; cancelled, it keeps what has ended.

        Args:
            watch: is told how far it is, often.
            notice: is told what is waited for, where the server does not answer.

        Raises:
            InputError: no such model, a server that lacks what is needed, or a journal that cannot be written.
            ServerError: no answer within the deadline, or a branch that breaks off again and again.
            LimitReached: the next request may pass the ceiling of cost.
        """
        async with connect(self._connection, notice) as model:
            self._journal.add_server(self._connection.base_url, model.abilities.words())
            await collect(model, self._plan, self._journal, self._purse, watch)

    def environment(self) -> Environment:
        """The environment, when the recording is complete: its texts are read, and nobody is asked.

        Raises:
            InputError: something is not recorded yet.
        """
        if not self.is_complete:
            raise InputError(f"{self.journal}: not all of it is recorded yet; ask for the rest with collect()")
        plan, provenance = self._plan, {**self._provenance(), "answers": self._reader.name}
        return build(self._journal, plan.questions, plan.branches, plan.probing, self._reader, self._header, provenance)

    def _provenance(self) -> dict[str, str]:
        journal, settings = self._journal, self._settings
        servers = list(dict.fromkeys(address for address, _ in journal.servers))
        ways = list(dict.fromkeys(how for _, how in journal.servers))
        shown = {
            name.removeprefix("--").replace("-", "_").replace(" ", "_"): value
            for name, value in settings.items()
            if name not in ("--model", "--interval", "--prompts") and value not in (None, [])
        }
        templates = {f"template_{name}": value for name, value in settings["--prompts"].items()}
        return {
            "source": "autotts env collect",
            **journal.about,
            "server": " | ".join(servers),
            "asked": " | ".join(ways),
            **{name: " | ".join(value) if isinstance(value, list) else str(value) for name, value in shown.items()},
            **templates,
        }


def _check_golds(dataset: str, questions: Sequence[Question], reader: Reader) -> None:
    """Refuse right answers that the reader would never find."""
    for question in questions:
        if reader.name == "choice" and len(reader.gold(question.gold)) != 1:
            raise InputError(
                f"{dataset}, question {question.id}: its answer {question.gold[:40]!r} is no letter A–J; mend it, or "
                "read other --answers"
            )


def _settings(plan: Plan, connection: Connection) -> dict[str, Any]:
    """What a recording depends on, by the names of options."""
    prompts = Prompts(Path(connection.prompts) if connection.prompts else None)
    made = (prompts.question("…"), prompts.prompt("…"), prompts.probe("…", False))
    sampling, tokenizer = connection.sampling, connection.tokenizer
    try:
        key = hashlib.sha256(Path(tokenizer).read_bytes()).hexdigest() if tokenizer else None
    except OSError as error:
        raise InputError(
            f"--tokenizer {tokenizer}: cannot be read ({error.strerror}); give a tokenizer.json"
        ) from error
    return {
        "--model": connection.model,
        "--interval": plan.interval,
        "--temperature": sampling.temperature,
        "--top-p": sampling.top_p,
        "--max-tokens": sampling.max_tokens,
        "--stop": list(sampling.stop),
        "--seed": plan.seed,
        "--api": connection.api,
        "--tokenizer": key,
        "--prompts": {prompt.name: prompt.hash for prompt in made},
        "probe tokens": sampling.probe_tokens,
    }
