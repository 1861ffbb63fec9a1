"""An agent that is a language model, in single or in session mode."""

from __future__ import annotations

import random
from pathlib import Path

from autotts.agents import Settings
from autotts.agents._base import Context, Proposal
from autotts.agents.calling import Caller
from autotts.agents.models import Model, NoTools
from autotts.agents.prices import Prices
from autotts.agents.session import propose_in_session
from autotts.agents.single import propose_single
from autotts.errors import InputError
from autotts.prompts import Prompts

__all__ = ["ModelAgent"]

_OF_SESSIONS = {"system", "session", "left", "nudge"}
"""Templates of a session; what else there is belongs to single prompts."""


class ModelAgent:
    """Writes programs with a language model.

    Args:
        model: whom it asks.
        settings: how.
    """

    concurrent = True

    def __init__(self, model: Model, settings: Settings) -> None:
        self.name = model.name
        self._model = model
        self._settings = settings
        self._prompts = Prompts(Path(settings.prompts) if settings.prompts else None)
        self._prices = Prices.read(Path(settings.prices) if settings.prices else None)
        self._tools = model.tools

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """The next program; see `Agent`."""
        if context.purse is None or context.bench is None:
            raise ValueError(f"{self.name} needs a purse and a bench; a search gives both")
        settings = self._settings
        caller = Caller(self._model, context.purse, self._prices, settings.proposal_seconds, settings.proposal_tokens)
        if settings.mode == "auto" and context.purse.templates() - _OF_SESSIONS:
            self._tools = False  # before it was interrupted, this slot was without them: its answers fit nothing else
        if settings.mode != "single" and (self._tools or settings.mode == "session"):
            try:
                turns, most = settings.session_turns, settings.answer_tokens
                return propose_in_session(caller, self._prompts, context, turns, most)
            except NoTools as error:
                if settings.mode == "session":
                    raise InputError(
                        f"{self.name}: the server refuses tools, which a session needs ({error}); start it with tools, "
                        "or use --mode auto or single"
                    ) from error
                self._tools = False
        return propose_single(caller, self._prompts, context, rng, settings.answer_tokens)

    @property
    def calls(self) -> int:
        """The most answers that one proposal may ask for, retries left out."""
        session = self._settings.mode != "single" and (self._tools or self._settings.mode == "session")
        return self._settings.session_turns if session else 2

    def most(self) -> tuple[int, float | None]:
        """The most tokens and dollars that one proposal may take; None where the price is unknown."""
        settings = self._settings
        out = min(self.calls * settings.answer_tokens, settings.proposal_tokens)
        return settings.proposal_tokens, self._prices.worst(self.name, settings.proposal_tokens - out, out)
