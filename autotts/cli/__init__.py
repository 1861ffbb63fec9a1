"""The command line: one file a command group, loaded only when its command is called.

Exit codes: 0 done, 1 the program or job failed, 2 usage or bad input, 3 a budget or limit was reached, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from autotts.cli._file import Sources
from autotts.errors import AutoTTSError, InputError

__all__ = ["main"]

_COMMANDS = {
    "add": "autotts.cli.programs:add",
    "archive": "autotts.cli.archives:archive",
    "browse": "autotts.cli.browse:browse",
    "calibrate": "autotts.cli.calibrate:calibrate",
    "champion": "autotts.cli.champion:champion",
    "check": "autotts.cli.programs:check",
    "compare": "autotts.cli.compare:compare",
    "config": "autotts.cli.config:config",
    "cost": "autotts.cli.cost:cost",
    "doctor": "autotts.cli.doctor:doctor",
    "env": "autotts.cli.env:env",
    "evaluate": "autotts.cli.evaluate:evaluate",
    "export": "autotts.cli.export:export",
    "front": "autotts.cli.archive:front",
    "inspect": "autotts.cli.inspect:inspect",
    "list": "autotts.cli.archive:list_",
    "mcp": "autotts.cli.mcp:mcp",
    "polish": "autotts.cli.polish:polish",
    "prompts": "autotts.cli.prompts:prompts",
    "report": "autotts.cli.report:report",
    "resume": "autotts.cli.search:resume",
    "score": "autotts.cli.score:score",
    "search": "autotts.cli.search:search",
    "serve": "autotts.cli.serve:serve",
    "show": "autotts.cli.archive:show",
    "solve": "autotts.cli.solve:solve",
}


class _LazyGroup(click.Group):
    """Imports a command's module when the command is needed, so that `autotts --help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="autotts")
@click.option(
    "--config",
    "config_file",
    envvar="AUTOTTS_CONFIG",
    metavar="FILE",
    help="Options in a file.  [default: autotts.toml in the working directory, where there is one]",
)
@click.pass_context
def cli(ctx: click.Context, config_file: str | None) -> None:
    """Discover how a language model should spend its test-time compute.

    Controllers are small Python programs; `autotts search` evolves them on recorded reasoning branches, each in a
    sandbox, and keeps the Pareto front of accuracy against tokens. Every option can also be set by an environment
    variable AUTOTTS_<OPTION> (also in a file .env in the working directory), or in autotts.toml; `autotts config show`
    tells where each value comes from.
    """
    sources = ctx.ensure_object(Sources)
    sources.read(config_file, cli)
    ctx.default_map = sources.file.default_map(cli) if sources.file else None


def main(argv: list[str] | None = None) -> None:
    """Entry point of the `autotts` command; ends the process with its exit code."""
    sys.exit(_run(argv, ".env"))


def _read_dotenv(path: str) -> frozenset[str]:
    """Set what this file says and the environment does not; the names."""
    from dotenv import load_dotenv

    before = set(os.environ)
    try:
        load_dotenv(path)
        return frozenset(set(os.environ) - before)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: cannot be a set of variables ({error}); take that out") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make it readable, or remove it") from error


def _run(argv: list[str] | None, dotenv: str | None = None) -> int:
    try:
        sources = Sources(frozenset() if dotenv is None else _read_dotenv(dotenv))
        result: Any = cli.main(args=argv, prog_name="autotts", standalone_mode=False, obj=sources)
        return result if isinstance(result, int) else 0
    except AutoTTSError as error:
        from autotts.sandbox.text import printable  # here, so that `autotts --help` stays fast

        click.echo(f"error: {printable(str(error))}", err=True)
        return error.exit_code
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption) and error.option_name == "--config":
            error = click.UsageError("--config FILE goes before the command: autotts --config FILE …", error.ctx)
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        # `autotts list | head`: the reader left; point stdout elsewhere so that the flush at exit stays quiet.
        sys.stdout = None
        return 0
