"""Which container engine answers: Docker, rootless Docker, Docker Desktop or Podman, by their sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autotts.errors import SandboxError

__all__ = ["connect", "find_engine", "survey"]

TIMEOUT = 600
"""Seconds for one request; building an image is one."""


def _candidates() -> Iterator[str]:
    """Addresses to try: DOCKER_HOST alone where it is set."""
    if os.environ.get("DOCKER_HOST"):
        yield os.environ["DOCKER_HOST"]
        return
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    for path in (
        Path("/var/run/docker.sock"),
        runtime / "docker.sock",
        Path.home() / ".docker/run/docker.sock",
        runtime / "podman/podman.sock",
        Path("/run/podman/podman.sock"),
    ):
        if path.exists():
            yield f"unix://{path}"


def _knock(address: str) -> None:
    """Whether anybody listens; a client that finds nobody says less, and leaves its connection open."""
    kind, _, place = address.partition("://")
    host, _, port = place.partition(":")
    try:
        if kind == "unix":
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(5)
                door.connect(place)
        elif kind == "tcp" and port.isdigit():
            socket.create_connection((host, int(port)), timeout=5).close()
        else:
            raise SandboxError(f"{address}: an engine is spoken to by a Unix socket or plain TCP; forward its socket")
    except OSError as error:
        raise SandboxError(f"{address}: {error.strerror or error}") from error


def connect(address: str) -> Any:
    """A client of the engine at an address.

    Raises:
        SandboxError: none answers there.
    """
    import docker  # 0.3 s, and only this backend needs it

    _knock(address)
    try:
        client = docker.DockerClient(base_url=address, version="auto", timeout=TIMEOUT)
        client.ping()
    except docker.errors.DockerException as error:
        raise SandboxError(f"{address}: {error}") from error
    return client


def survey() -> list[tuple[str, str, bool]]:
    """Address, what answers there or why nothing does, and whether it does, of every engine that may be used."""
    found = []
    for address in _candidates():
        try:
            client = connect(address)
        except SandboxError as error:
            found.append((address, str(error).removeprefix(f"{address}: "), False))
        else:
            told = client.version()
            client.close()
            name = next((part["Name"] for part in told.get("Components") or () if "Engine" in part["Name"]), "engine")
            found.append((address, f"{name} {told.get('Version')}", True))
    return found


def find_engine() -> tuple[str, Any]:
    """Address and client of the first engine that answers.

    Raises:
        SandboxError: none does.
    """
    tried = []
    for address in _candidates():
        try:
            return address, connect(address)
        except SandboxError as error:
            tried.append(str(error))
    why = "; ".join(tried) or "there is no socket of Docker or Podman"
    raise SandboxError(f"no container engine answers ({why}); start Docker or Podman, or set DOCKER_HOST")
