"""`autotts serve`: a controller as an OpenAI-compatible endpoint in front of a model's server."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from autotts.cli._common import archive_option, sandbox_options
from autotts.cli._live import upstream_options
from autotts.cli._serving import KEY, Endpoint, endpoint_options, read_key
from autotts.cli.solve import Controlled, controlled, controller_options
from autotts.errors import InputError

if TYPE_CHECKING:
    from autotts.live.connect import Connection
    from autotts.live.serve import AccessLog, Drift, Settings, Terms

__all__ = ["serve"]

_EXTRA = ("prometheus_client", "starlette", "uvicorn")


@click.command()
@controller_options
@upstream_options
@endpoint_options
@sandbox_options
@archive_option
def serve(
    controller: str,
    beta: float | None,
    budget: str | None,
    env_patterns: tuple[str, ...],
    interval: int | None,
    max_branches: int | None,
    answers: str,
    equivalence: str | None,
    connection: Connection,
    endpoint: Endpoint,
    isolating: dict[str, Any],
    archive: str,
) -> int:
    """Serve a controller as an OpenAI-compatible endpoint in front of a model's server.

    Every chat completion is answered by an episode of the controller, in a jail of its own; a request may say another
    β. With --env, on which β was calibrated, requests are compared with it. SIGTERM or Ctrl-C ends the server when
    running requests are done.
    """
    try:
        from autotts.live.serve import AccessLog, Settings, is_loopback, listening, url_of
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        raise InputError("autotts serve needs its packages: pip install 'autotts[live]'") from error
    how = controlled(controller, archive, beta, budget, env_patterns, interval, max_branches, equivalence, isolating)
    settings = Settings(
        how.program.name or how.program.id,
        _terms(endpoint, how, connection),
        endpoint.running,
        endpoint.queue,
        endpoint.timeout,
        endpoint.grace,
        read_key(endpoint.api_key_file),
    )
    with (
        closing(AccessLog(endpoint.log_file, endpoint.log_questions)) as log,
        listening(endpoint.host, endpoint.port) as listener,
    ):
        if settings.key is None and not is_loopback(listener):
            log.notice(f"warning: whoever reaches {url_of(listener)} may ask; set --api-key-file or ${KEY}")
        drift = _drift(how, endpoint.window, isolating, log)
        return asyncio.run(_serve(how, connection, answers, isolating, settings, log, drift, listener))


def _terms(endpoint: Endpoint, how: Controlled, connection: Connection) -> Terms:
    from autotts.live.serve import Terms

    sampling = connection.sampling
    fixed = sampling.temperature, sampling.top_p, endpoint.max_request_tokens
    return Terms(endpoint.served_model or connection.model, how.beta, endpoint.seed, *fixed)


def _drift(how: Controlled, window: int, isolating: dict[str, Any], log: AccessLog) -> Drift | None:
    """What requests are compared with, where there are environments."""
    from autotts.live.serve import LEAST_QUESTIONS, Drift, episodes_of

    if not how.environments:
        return None
    names = ", ".join(environment.name for environment in how.environments)
    n = sum(len(environment.questions) for environment in how.environments)
    if n < LEAST_QUESTIONS:
        log.notice(f"note: {names}: {n} questions; drift is told by {LEAST_QUESTIONS} or more")
        return None
    log.notice(f"playing episodes on {names}, to tell drift by")
    return Drift(episodes_of(how.program, how.environments, how.beta, notice=log.notice, **isolating), window)


async def _serve(
    how: Controlled,
    connection: Connection,
    answers: str,
    isolating: dict[str, Any],
    settings: Settings,
    log: AccessLog,
    drift: Drift | None,
    listener: socket.socket,
) -> int:
    from autotts.live.connect import connect
    from autotts.live.reading import Reader
    from autotts.live.serve import Service, serve_until_told, upstream_of, url_of

    with Reader(answers) as reader:
        async with (
            connect(connection) as model,
            how.solver(model, reader, isolating) as solver,
            upstream_of(connection) as ready,
        ):
            log.say(
                "serving",
                f"serving {settings.controller} at β = {how.beta:.6g} as {settings.terms.model} on {url_of(listener)}, "
                f"in front of {connection.base_url} (isolation {solver.isolation})",
            )
            return await serve_until_told(Service(solver, settings, log, drift, ready), listener)
