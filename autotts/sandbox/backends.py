"""The sandboxes there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Protocol

from autotts.errors import InputError
from autotts.sandbox.pool import Sandbox

__all__ = ["SandboxFactory", "find_sandbox"]


class SandboxFactory(Protocol):
    """Makes a sandbox whose children can be used by many threads."""

    def __call__(self, preload: Sequence[str] = (), notice: Callable[[str], None] = ...) -> Sandbox:
        """A sandbox that imports modules before its children start, and tells in a line what takes long."""
        ...


def find_sandbox(name: str) -> SandboxFactory:
    """`process`, `docker`, or what an installed entry point `sandbox.NAME` of group `autotts` gives.

    Raises:
        InputError: no such sandbox.
    """
    if name == "process":
        return Sandbox
    if name == "docker":
        from autotts.sandbox.docker import DockerSandbox

        return DockerSandbox
    for point in entry_points(group="autotts"):
        if point.name == f"sandbox.{name}":
            factory: SandboxFactory = point.load()
            return factory
    raise InputError(f"--sandbox {name}: no such sandbox; there are `process` and `docker`, and what packages install")
