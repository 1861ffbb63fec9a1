"""One hardened container: what it may do, and the stream to its standard input and output."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autotts.errors import SandboxError
from autotts.sandbox.docker.engine import connect

__all__ = ["Container"]

LABEL = "autotts.sandbox"
"""Label of our containers; its value is the process that will remove it."""
SECCOMP = Path(__file__).parent / "seccomp.json"
MEMORY = 4 << 30
"""Bytes for all children together; each has its own limit below."""
PROCESSES = 256
LIMITS = {"nofile": 1024, "nproc": 4096, "core": 0}
"""Of each process, named here because Podman's own defaults are more than some systems grant."""


def _security(client: Any) -> list[str]:
    """No new privileges, and our system calls; Docker wants the profile itself, Podman the place of it."""
    parts = [part.get("Name", "") for part in client.version().get("Components") or ()]
    profile = str(SECCOMP) if any("Podman" in part for part in parts) else SECCOMP.read_text(encoding="utf-8")
    return ["no-new-privileges", f"seccomp={profile}"]


class Container:
    """A running container of ours; it removes itself when it ends, and it ends when its standard input does.

    Args:
        address: of the engine.
        image: its name.
        preload: modules that the fork server imports.

    Attributes:
        trunk: descriptor of the stream to its standard input and output.

    Raises:
        SandboxError: the engine does not run it.
    """

    def __init__(self, address: str, image: str, preload: Sequence[str]) -> None:
        import docker

        self._client = connect(address)
        self._id = ""
        api = self._client.api
        limits = api.create_host_config(
            network_mode="none",
            ipc_mode="none",
            read_only=True,
            tmpfs=dict.fromkeys(("/tmp", "/run", "/var/tmp"), "ro"),  # Podman makes them writable by itself
            cap_drop=["ALL"],
            security_opt=_security(self._client),
            pids_limit=PROCESSES,
            mem_limit=MEMORY,
            memswap_limit=MEMORY,
            ulimits=[docker.types.Ulimit(name=n, soft=v, hard=v) for n, v in LIMITS.items()],
            nano_cpus=10**9 * (os.cpu_count() or 1),
            auto_remove=True,
            log_config={"Type": "none"},
        )
        try:
            made = api.create_container(
                image,
                list(preload),
                user="65534:65534",
                stdin_open=True,
                labels={LABEL: str(os.getpid())},
                host_config=limits,
            )
            self._id = made["Id"]
            where = {"stdin": 1, "stdout": 1, "stream": 1}
            self._socket = api.attach_socket(self._id, params=where)
            self.trunk: int = self._socket.fileno()
            api.start(self._id)
        except docker.errors.DockerException as error:
            self.remove()
            raise SandboxError(f"the engine does not run the sandbox's container: {error}") from error

    def remove(self) -> None:
        """End it, whatever it does."""
        import docker

        with contextlib.suppress(docker.errors.APIError):  # it has ended, and so is gone already
            if self._id:
                self._client.api.remove_container(self._id, force=True)
        self._client.close()
