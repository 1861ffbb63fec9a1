"""Command lines of coding agents: the known ones, whose reports can be read, and those of a user's own."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autotts.agents.models._json import count
from autotts.errors import InputError

__all__ = ["CommandLine", "Report", "command_line"]

_MOST_ARGUMENT = 120_000
"""Bytes of one argument that Linux surely takes (128 KiB with its end)."""

_MOST_DOLLARS = 1e9
"""That a command line may tell of one run; more is no cost."""

_TOO_LONG = "Read {task_file}: it is your task, to the letter."


@dataclass(frozen=True)
class Report:
    """What a command line tells about its work.

    Attributes:
        said: its last words.
        usage: tokens by kind as `autotts.agents.models.Reply` has them, {} where it told nothing.
        cost: dollars, None where it told nothing.
        failure: why it failed, in its own words.
    """

    said: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    cost: float | None = None
    failure: str = ""


@dataclass(frozen=True)
class CommandLine:
    """How a coding agent is started, and how its output is read.

    Attributes:
        words: the command, with placeholders.
        read: its standard output as a report.
        priced: the `provider/model` whose prices hold, "" where that is not known.
        budget_flag: option that takes a ceiling in dollars, "" where it has none.
    """

    words: tuple[str, ...]
    read: Callable[[str], Report]
    priced: str = ""
    budget_flag: str = ""

    def command(self, task: str, task_file: Path, workspace: Path, dollars: float | None) -> tuple[list[str], str]:
        """(the words to be run, what goes to standard input).

        Args:
            task: the text.
            task_file: where it lies.
            workspace: the folder.
            dollars: ceiling of the run, None for none.
        """
        text = task if len(task.encode("utf-8", "replace")) < _MOST_ARGUMENT else _TOO_LONG
        values = {
            "{task}": text.replace("{task_file}", str(task_file)).replace("\0", ""),
            "{task_file}": str(task_file),
        }
        values["{workspace}"] = str(workspace)
        # One pass: braces within the task's own text are not looked at.
        words = [
            re.sub(r"\{(?:task|task_file|workspace)\}", lambda found: values[found[0]], word) for word in self.words
        ]
        if self.budget_flag and dollars is not None:
            words += [self.budget_flag, f"{dollars:.2f}"]
        told = any("{task}" in word or "{task_file}" in word for word in self.words)
        return words, "" if told else task


# The flags are those that `claude --help` (Claude Code 2.1.332) and `codex exec --help` (codex-cli 0.169.0) show.


def _claude(program: str, model: str) -> CommandLine:
    # With these tools it can read and write files; it runs no commands. What the mode does not allow (files outside of
    # the folder) would be asked for, and nobody is there to say yes.
    tools = ("--permission-mode", "acceptEdits", "--tools", "Read,Edit,Write,Glob,Grep", "--strict-mcp-config")
    words = (program, "-p", "--output-format", "json", "--no-session-persistence", *tools)
    chosen = ("--model", model) if model else ()
    return CommandLine((*words, *chosen), _read_claude, f"anthropic/{model}" if model else "", "--max-budget-usd")


def _codex(program: str, model: str) -> CommandLine:
    words = (program, "exec", "--json", "--sandbox", "workspace-write", "--skip-git-repo-check", "--ephemeral")
    chosen = ("--model", model) if model else ()
    return CommandLine((*words, *chosen, "-"), _read_codex, f"openai/{model}" if model else "")


_PRESETS: Mapping[str, tuple[Callable[[str, str], CommandLine], str]] = {
    "claude": (_claude, "npm install -g @anthropic-ai/claude-code"),
    "codex": (_codex, "npm install -g @openai/codex"),
}


def command_line(name: str) -> CommandLine:
    """The command line of `command/NAME`.

    Args:
        name: `claude`, `codex`, either with `:MODEL`, or a command with its arguments.

    Raises:
        InputError: it is no command, or its program is not there: which, and how to install it.
    """
    preset = re.fullmatch(r"(claude|codex)(?::([A-Za-z0-9]\S*))?", name.strip())
    if preset:
        make, install = _PRESETS[preset[1]]
        return make(_found(name, preset[1], f"install it ({install}) and log in"), preset[2] or "")
    try:
        words = shlex.split(name)
    except ValueError as error:
        raise InputError(f"--agent command/{name}: cannot be split into words ({error}); mend its quotes") from error
    if not words or "\0" in name:
        raise InputError(f"--agent command/{name}: give claude, codex, or a command with its arguments")
    program = _found(name, words[0], "install it, put its folder on PATH, or give its path")
    return CommandLine((program, *words[1:]), lambda out: Report(out.strip()[-_SAID:]))


def _found(name: str, program: str, how: str) -> str:
    """The program's absolute path, for it is run in another folder."""
    path = shutil.which(program)
    if path is None:
        raise InputError(f"--agent command/{name}: there is no program {program!r} that can be run; {how}")
    return str(Path(path).absolute())


# ---- what they report --------------------------------------------------------------------------------------------

_SAID = 20_000
"""Characters of an agent's words that are kept."""


def _read_claude(out: str) -> Report:
    """One JSON object; with a user's `verbose` setting a list that ends with it."""
    results = [row for row in _objects(out) if row.get("type") == "result"]
    if not results:
        return Report(failure=out.strip()[-500:])
    row = results[-1]
    said = str(row.get("result") or "")[:_SAID]
    failed = bool(row.get("is_error")) or str(row.get("subtype", "success")) != "success"
    cost = row.get("total_cost_usd")
    known = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost <= _MOST_DOLLARS
    return Report(
        said,
        _claude_usage(row),
        float(cost) if known and cost is not None else None,
        (said or str(row.get("subtype"))) if failed else "",
    )


def _claude_usage(row: Mapping[str, Any]) -> dict[str, int]:
    """Of all models that it called, where it says so; else of the main one."""
    kinds = {
        "input": ("inputTokens", "input_tokens"),
        "output": ("outputTokens", "output_tokens"),
        "cache_read": ("cacheReadInputTokens", "cache_read_input_tokens"),
        "cache_write": ("cacheCreationInputTokens", "cache_creation_input_tokens"),
    }
    by_model = row.get("modelUsage")
    rows = [part for part in by_model.values() if isinstance(part, dict)] if isinstance(by_model, dict) else []
    usage = row.get("usage")
    rows = rows or ([usage] if isinstance(usage, dict) else [])
    if not rows:
        return {}
    return {kind: sum(_count(part, name) for part in rows for name in names) for kind, names in kinds.items()}


def _read_codex(out: str) -> Report:
    """A JSON object a line; a turn that is completed tells what it used."""
    usage: dict[str, int] = {}
    said = failure = ""
    for row in _objects(out):
        kind, item = row.get("type"), row.get("item")
        if kind == "turn.completed":
            told = row.get("usage")
            told = told if isinstance(told, dict) else {}
            # Tokens in are told with the cached ones among them.
            read, written = _count(told, "cached_input_tokens"), _count(told, "cache_write_input_tokens")
            more = {
                "input": max(0, _count(told, "input_tokens") - read - written),
                "cache_read": read,
                "cache_write": written,
                "output": _count(told, "output_tokens"),
            }
            usage = {name: usage.get(name, 0) + n for name, n in more.items()} if told else usage
            failure = ""
        elif kind == "turn.failed":
            error = row.get("error")
            failure = str(error.get("message") if isinstance(error, dict) else error)[:_SAID]
        elif kind == "error":
            failure = str(row.get("message"))[:_SAID]
        elif kind == "item.completed" and isinstance(item, dict) and item.get("type") == "agent_message":
            said, failure = str(item.get("text"))[:_SAID], ""
    return Report(said, usage, None, failure)


def _count(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    return count(value) or 0


def _objects(out: str) -> Iterator[dict[str, Any]]:
    """JSON objects of an output: the whole of it, or a line each; lists are opened."""
    for text in [out] if _json(out) is not None else out.splitlines():
        value = _json(text)
        yield from (row for row in (value if isinstance(value, list) else [value]) if isinstance(row, dict))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
