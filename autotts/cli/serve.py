"""`autotts serve`: a controller as an OpenAI-compatible endpoint in front of a model's server."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from autotts.cli._common import FiniteRange, archive_option, option, sandbox_options
from autotts.cli._live import upstream_options
from autotts.cli._serving import KEY, Endpoint, Episodes, endpoint_options, episode_options, read_key
from autotts.cli.programs import find_program
from autotts.errors import InputError
from autotts.evaluation import Program

if TYPE_CHECKING:
    from autotts.live.connect import Connection
    from autotts.live.serve import AccessLog, Drift, Settings

__all__ = ["serve"]

_EXTRA = ("prometheus_client", "starlette", "uvicorn")


@click.command()
@option("--controller", required=True, metavar="PROGRAM", help="An archive id, a shipped name, or a file.")
@option("--beta", type=FiniteRange(0, 1), default=0.5, help="Where a request says none.")
@upstream_options
@endpoint_options
@episode_options
@option("--log", "log_file", default=None, metavar="FILE", help="Append a JSON object a request, not a line on stderr.")
@option("--log-questions", is_flag=True, help="Keep the text of questions in it.")
@sandbox_options
@archive_option
def serve(
    controller: str,
    beta: float,
    connection: Connection,
    endpoint: Endpoint,
    episodes: Episodes,
    log_file: str | None,
    log_questions: bool,
    isolating: dict[str, Any],
    archive: str,
) -> int:
    """Serve a controller as an OpenAI-compatible endpoint in front of a model's server.

    Every chat completion is answered by an episode of the controller, in a jail of its own. Running requests are
    finished when SIGTERM or Ctrl-C ends it.
    """
    try:
        from autotts.live.serve import AccessLog, Settings, Terms, is_loopback, listening, url_of
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        raise InputError("autotts serve needs its packages: pip install 'autotts[live]'") from error
    program = find_program(controller, archive)
    sampling = connection.sampling
    terms = Terms(
        endpoint.served_model or connection.model,
        beta,
        endpoint.seed,
        sampling.temperature,
        sampling.top_p,
        endpoint.max_request_tokens,
    )
    settings = Settings(
        program.name or program.id,
        terms,
        endpoint.running,
        endpoint.queue,
        endpoint.timeout,
        endpoint.grace,
        read_key(endpoint.api_key_file),
    )
    with closing(AccessLog(log_file, log_questions)) as log, listening(endpoint.host, endpoint.port) as listener:
        if settings.key is None and not is_loopback(listener):
            log.notice(f"warning: {url_of(listener)} is open to everybody who reaches it; set --api-key-file or ${KEY}")
        drift = _drift(program, episodes, beta, isolating, log)
        return asyncio.run(_serve(program, connection, episodes, isolating, settings, log, drift, listener))


def _drift(
    program: Program, episodes: Episodes, beta: float, isolating: dict[str, Any], log: AccessLog
) -> Drift | None:
    """What requests are compared with, where there are environments."""
    from autotts.live.serve import Drift, episodes_of

    if not episodes.environments:
        return None
    log.notice(f"playing episodes of {', '.join(e.name for e in episodes.environments)}, to tell drift by")
    measured = episodes_of(program, episodes.environments, beta, notice=log.notice, **isolating)
    return Drift(measured, episodes.window)


async def _serve(
    program: Program,
    connection: Connection,
    episodes: Episodes,
    isolating: dict[str, Any],
    settings: Settings,
    log: AccessLog,
    drift: Drift | None,
    listener: socket.socket,
) -> int:
    from autotts.live.connect import connect
    from autotts.live.reading import Reader
    from autotts.live.serve import Service, serve_until_told, upstream_of, url_of
    from autotts.live.solver import Solver

    with Reader(episodes.answers) as reader:
        async with (
            connect(connection) as model,
            Solver(
                program,
                model,
                reader,
                episodes.interval,
                episodes.max_branches,
                episodes.kappa,
                episodes.equivalence or reader.equivalence,
                notice=log.notice,
                **isolating,
            ) as solver,
            upstream_of(connection) as ready,
        ):
            service = Service(solver, settings, log, drift, ready)
            log.say(
                "serving",
                f"serving {settings.controller} at β = {settings.terms.beta:g} as {settings.terms.model} on "
                f"{url_of(listener)}, in front of {connection.base_url} (isolation {solver.isolation})",
            )
            return await serve_until_told(service, listener)
