"""`autotts config`: what the options of a command would be, where each comes from, and what a run was started with."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.table import Table

from autotts.archive import Archive
from autotts.cli._common import EMBEDDED, absolute, archive_option, console, json_option, option, print_json
from autotts.cli._file import Sources, commands, masked, options, typed
from autotts.cli.doctor import KEYS
from autotts.errors import InputError
from autotts.sandbox.docker.image import BASE_VARIABLE
from autotts.search import Config

__all__ = ["config", "kept_options"]

_OTHERS = ("AUTOTTS_CONFIG", BASE_VARIABLE)
"""Variables that are read, and are no command's option."""


@dataclass(frozen=True)
class _Setting:
    """An option's value, and where it comes from.

    Attributes:
        name: as it is typed, without the dashes.
        value: what the command would get.
        source: "environment", ".env", "file", "default", or "unset" where the command wants it and nobody gives it.
        variable: the environment variable that mirrors it.
        meaning: what it comes to where nothing is given, in words; None where the value says it.
        line, table: in the file, where it comes from there.
    """

    name: str
    value: Any
    source: str
    variable: str
    meaning: str | None = None
    line: int | None = None
    table: str | None = None


@click.group()
def config() -> None:
    """What options are without being typed, and where each comes from (docs/configuration.md)."""


@config.command()
@click.argument("command", nargs=-1)
@option("--run", "run_name", default=None, metavar="NAME", help="What this run keeps, and what would differ now.")
@archive_option
@json_option
@click.pass_context
def show(ctx: click.Context, command: tuple[str, ...], run_name: str | None, archive: str, as_json: bool) -> int:
    """Show every option of COMMAND (search, where none is named): its value, and where it comes from.

    With --run NAME: what that run was started with, and where `autotts search` would do otherwise now.
    """
    # A variable or a file that says which run other commands read is shown here, and asks for nothing.
    if run_name is not None and ctx.get_parameter_source("run_name") is ParameterSource.COMMANDLINE:
        if command not in ((), ("search",)):
            raise InputError(f"--run {run_name}: a run keeps the options of search, so name no other command")
        return _show_run(ctx, run_name, archive, as_json)
    words = command or ("search",)
    settings, file = _settings(ctx, words), _sources(ctx).file
    keys = {name: bool(os.environ.get(name)) for name in KEYS}
    unread = _unread(ctx)
    if as_json:
        path = str(file.path.absolute()) if file else None
        rows = [{**asdict(each), "value": _hidden(each.value)} for each in settings]
        print_json({"command": " ".join(words), "file": path, "options": rows, "keys": keys, "unread": unread})
        return 0
    table = Table(title=f"autotts {' '.join(words)}" + (f", with {file.path.absolute()}" if file else ""))
    for column in ("option", "value", "from"):
        table.add_column(column, overflow="fold")
    for each in settings:
        table.add_row(each.name, each.meaning or _text(each.value), _origin(ctx, each))
    console().print(table)
    said = ", ".join(f"{name} {'set' if there else 'not set'}" for name, there in keys.items())
    console().print(f"keys: {said}", soft_wrap=True)
    for name, near in unread.items():
        hint = f"; did you mean {near}?" if near else ""
        console().print(f"note: {name} is set, and no option is called so{hint}", soft_wrap=True)
    return 0


def _sources(ctx: click.Context) -> Sources:
    found: Sources = ctx.find_root().obj
    return found


def _root(ctx: click.Context) -> click.Group:
    root = ctx.find_root().command
    assert isinstance(root, click.Group)
    return root


def _settings(ctx: click.Context, words: tuple[str, ...]) -> list[_Setting]:
    """What the options of a command would be if nothing were typed."""
    known = dict(commands(_root(ctx)))
    command = known.get(words)
    if command is None or isinstance(command, click.Group):
        near = get_close_matches(" ".join(words), [" ".join(each) for each in known], n=1)
        inner = ", ".join(each[-1] for each in known if each[:-1] == words)
        hint = f"did you mean {near[0]}?" if near else "`autotts --help` lists them"
        why = f"is a group; name one of its commands as well: {inner}" if command else f"no such command; {hint}"
        raise InputError(f"COMMAND {' '.join(words)}: {why}")
    inside = ctx.find_root()
    for n, word in enumerate(words, 1):
        inside = click.Context(known[words[:n]], parent=inside, info_name=word)
    return [_setting(inside, words, each, _sources(ctx)) for each in options(command).values()]


def _setting(ctx: click.Context, words: tuple[str, ...], each: click.Option, sources: Sources) -> _Setting:
    name, variable = typed(each), str(each.envvar)
    assert each.name is not None
    try:
        each.handle_parse_result(ctx, {}, [])
    except click.MissingParameter:
        return _Setting(name, None, "unset", variable)
    value, source = ctx.params[each.name], ctx.get_parameter_source(each.name)
    if not each.multiple and each.value_is_missing(value):
        value = None
    if source is ParameterSource.ENVIRONMENT:
        return _Setting(name, value, ".env" if variable in sources.dotenv else "environment", variable)
    if source is ParameterSource.DEFAULT_MAP and sources.file:
        entry = sources.file.find(words, name)
        assert entry is not None
        return _Setting(name, value, "file", variable, None, entry.line, ".".join(entry.table) or None)
    said = re.search(r"\[default: (.*)\]", each.help or "")
    return _Setting(name, value, "default", variable, said[1] if said else None)


def _origin(ctx: click.Context, each: _Setting) -> str:
    """Where a value comes from, in words."""
    if each.source == "file":
        file = _sources(ctx).file
        table = f", [{each.table}]" if each.table else ""
        return f"{file.path.name if file else ''} line {each.line}{table}"
    names = {"environment": each.variable, ".env": f"{each.variable} in .env", "unset": "nowhere: must be given"}
    return names.get(each.source, each.source)


def _unread(ctx: click.Context) -> dict[str, str | None]:
    """Variables that look like ours and are not, with the one that may be meant."""
    known = {str(each.envvar) for _, command in commands(_root(ctx)) for each in options(command).values()}
    known |= set(_OTHERS)
    strange = sorted(name for name in os.environ if name.startswith("AUTOTTS_") and name not in known)
    return {name: next(iter(get_close_matches(name, sorted(known), n=1, cutoff=0.8)), None) for name in strange}


# ---- a run's own ---------------------------------------------------------------------------------------------------


def _show_run(ctx: click.Context, name: str, archive: str, as_json: bool) -> int:
    with Archive(archive, create=False) as store:
        run = store.run(name)
    settings = {each.name: each for each in _settings(ctx, ("search",))}
    kept = kept_options(Config.from_json(run.config), settings)
    now = _as_kept({each.name: each.value for each in settings.values()})
    rows: list[dict[str, Any]] = []
    for key, value in kept.items():
        differs = key in now and now[key] != value
        row = {"name": key, "value": _hidden(value), "differs": differs}
        if differs:
            row |= {"now": _hidden(now[key]), "source": settings[key].source, "from": _origin(ctx, settings[key])}
        rows.append(row)
    if as_json:
        print_json({"run": run.name, "versions": run.versions, "options": rows})
        return 0
    table = Table(title=f"What run {run.name} was started with, and what `autotts search` would do now")
    for column in ("option", "value", "now", "from"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            row["name"], _text(row["value"]), _text(row["now"]) if row["differs"] else "", row.get("from", "")
        )
    console().print(table)
    return 0


def kept_options(config: Config, known: Collection[str]) -> dict[str, Any]:
    """What a run keeps, by the options of `search` that it comes from.

    Args:
        config: the run's.
        known: the options' names.
    """
    return _by_option(json.loads(json.dumps(asdict(config))), known)


def _by_option(stored: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """A stored configuration by the options that it comes from: `agents` is --agent, `tokens` is --max-agent-tokens."""
    found: dict[str, Any] = {}
    for key, value in stored.items():
        name = key.replace("_", "-")
        if isinstance(value, Mapping):
            found |= _by_option(value, known)
        else:
            forms = name, f"max-{name}", f"max-agent-{name}", name.removesuffix("s")
            found[next((form for form in forms if form in known), name)] = value
    return found


def _as_kept(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of options as `search` keeps them in a run."""
    kept: dict[str, Any] = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
    kept["agent"] = kept["agent"] or list(Config.agents)
    kept["env"] = [absolute(pattern) for pattern in kept["env"]] or [EMBEDDED]
    if kept["screen-seeds"] is None:
        kept["screen-seeds"] = min(Config.screen_seeds, kept["seeds"])
    for key in ("prompts", "prices"):
        kept[key] = str(Path(kept[key]).absolute()) if kept[key] else None
    return kept


# ---- as text -------------------------------------------------------------------------------------------------------


def _hidden(value: Any) -> Any:
    """A value without the passwords of its addresses."""
    if isinstance(value, str):
        return masked(value)
    return [_hidden(part) for part in value] if isinstance(value, Sequence) else value


def _text(value: Any) -> str:
    if value is None or value == () or value == []:
        return "–"
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Sequence):
        return ", ".join(map(_text, value))
    return json.dumps(value)
