"""The command that has a run again, and what it does not bring back."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from autotts.archive import Run
from autotts.cli._common import EMBEDDED
from autotts.cli._file import masked, options
from autotts.cli.config import kept_options
from autotts.cli.search import search
from autotts.search import Config
from autotts.ui.report_page import Again

__all__ = ["again"]


def again(run: Run) -> Again:
    """How to have a run again."""
    known = options(search)
    config, default = Config.from_json(run.config), Config(envs=(EMBEDDED,))
    kept, plain = kept_options(config, known), kept_options(default, known)
    words = ["autotts", "search"]
    for name, value in kept.items():
        if name in known and value is not None and value != plain[name]:
            words += _typed(name, value)
    settings = [(name, _text(value)) for name, value in kept.items() if value not in (None, [])]
    return Again(shlex.join(words), tuple(settings), tuple(_notes(config)))


def _typed(name: str, value: Any) -> list[str]:
    """An option as it is typed."""
    if isinstance(value, list):
        return [word for each in value for word in _typed(name, each)]
    return [f"--{name}", masked(value) if isinstance(value, str) else json.dumps(value)]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return masked(value) if isinstance(value, str) else json.dumps(value)


def _notes(config: Config) -> Sequence[str]:
    notes = ["Same versions, no autotts.toml and no AUTOTTS_ variables. The number of workers does not matter."]
    if config.added:
        ids = ", ".join(hash[:10] for hash in config.added)
        notes.append(
            f"Programs that people had added take part: {ids}; `autotts export` and `autotts add` bring them over."
        )
    if any("/" in name for name in config.agents):
        notes.append(
            "A model that is asked again answers otherwise: `--agent replay/RUN` gives the answers of a run again."
        )
    return notes
