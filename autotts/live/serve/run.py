"""The endpoint as a process: its socket, its signals and its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import resource
import signal
import socket
from collections.abc import Iterator

import uvicorn

from autotts.errors import InputError
from autotts.live.serve.app import make_app
from autotts.live.serve.protocol import Protocol
from autotts.live.serve.service import Service

__all__ = ["is_loopback", "listening", "serve", "serve_until_told", "url_of"]

_ENDING: dict[int, int] = {signal.SIGTERM: 0, signal.SIGINT: 130}
"""Signals that end the server, and the exit code then."""


class _Server(uvicorn.Server):
    """Leaves signals to `serve`, which drains first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening(host: str, port: int) -> socket.socket:
    """A socket that clients can reach; port 0 takes a free one.

    Raises:
        InputError: there is no such address, or somebody else listens there.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise InputError(
            f"--host {host}: no address to listen at ({error.strerror}); give one of this machine"
        ) from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(2048)
    except OSError as error:
        made.close()
        raise InputError(f"--host {host} --port {port}: {error.strerror}; give another --port") from None
    return made


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def url_of(listener: socket.socket) -> str:
    """What clients take as the base address."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


async def serve(service: Service, listener: socket.socket, ending: asyncio.Event, hurry: asyncio.Event) -> None:
    """Serve until somebody says to end; requests that are there are finished first.

    Args:
        service, listener: what is served, and where.
        ending: set to end.
        hurry: set to end the requests that still run.
    """
    _many_files()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        make_app(service),
        http=Protocol,
        access_log=False,
        log_config=None,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    waiting = asyncio.create_task(ending.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await service.drain(hurry)
    server.should_exit = True
    await running


async def serve_until_told(service: Service, listener: socket.socket) -> int:
    """Serve until a signal says to end; a second one ends the requests that still run.

    Returns:
        The exit code: 0 after SIGTERM, 130 after SIGINT.
    """
    told: list[int] = []
    ending, hurry = asyncio.Event(), asyncio.Event()

    def told_to_end(which: int) -> None:
        (hurry if told else ending).set()
        told.append(which)
        service.log.say("ending", f"ending: {service.gate.running} requests run, {service.gate.queued} wait")

    loop = asyncio.get_running_loop()
    for which in _ENDING:
        loop.add_signal_handler(which, told_to_end, which)
    try:
        await serve(service, listener, ending, hurry)
    finally:
        for which in _ENDING:
            loop.remove_signal_handler(which)
    return _ENDING[told[0]]


def _many_files() -> None:
    """Every request and every branch is a connection; the usual limit of 1,024 is for programs that use select."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # macOS names a limit that it does not give
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
