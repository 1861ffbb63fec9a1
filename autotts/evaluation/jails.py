"""The sandboxes that programs run in, and which program may run there at all."""

from __future__ import annotations

import threading
from collections.abc import Callable

from autotts.errors import InputError, SandboxError
from autotts.evaluation.program import Program
from autotts.sandbox import Child, Limits, Sandbox, SandboxFactory

__all__ = ["Jails"]


class Jails:
    """A sandbox for programs and one for class-style files, each started when first needed. Thread-safe.

    Args:
        sandbox: makes a sandbox.
        reduced: run any program where strict isolation cannot be had; without it, trusted ones only.
        notice: told in a line that isolation is reduced, and what takes long.
        entry: `module:function` that a child runs.
        preload: modules that are imported before children start.
    """

    def __init__(
        self,
        sandbox: SandboxFactory,
        reduced: bool,
        notice: Callable[[str], None],
        entry: str = "autotts.evaluation.child:main",
        preload: tuple[str, ...] = ("autotts.evaluation.child",),
    ) -> None:
        self._factory, self._entry, self._preload = sandbox, entry, preload
        self._reduced, self._notice = reduced, notice
        self._told = False
        self._sandboxes: dict[bool, Sandbox] = {}
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """End the sandboxes; none is started any more."""
        with self._lock:
            self._closed = True
        for sandbox in self._sandboxes.values():
            sandbox.close()

    def sandbox(self, compat: bool = False) -> Sandbox:
        """The sandbox.

        Args:
            compat: for class-style files, which import numpy.

        Raises:
            SandboxError: this is closed.
        """
        with self._lock:
            if self._closed:
                raise SandboxError("the evaluator is closed")
            if compat not in self._sandboxes:
                preload = (*self._preload, "numpy") if compat else self._preload
                self._sandboxes[compat] = self._factory(preload, self._notice)
            return self._sandboxes[compat]

    def admit(self, trusted: bool) -> None:
        """Refuse programs that may not run under the isolation that can be had here, and never say nothing of it.

        Args:
            trusted: see `Program`.

        Raises:
            InputError: isolation is reduced, which a stranger's program needs an explicit word for.
        """
        isolation = self.sandbox().isolation
        if not isolation.startswith("reduced"):
            return
        layers = self.sandbox().layers
        why = "; ".join(f"{name} {state}" for name, state in layers.items() if not state.startswith("on"))
        if not (trusted or self._reduced):
            raise InputError(
                f"strict isolation cannot be had here ({why}), and this program may have been written by a model or a "
                "stranger; use --sandbox docker, or take the risk with --isolation reduced"
            )
        if not self._told:
            self._told = True
            self._notice(f"isolation is reduced ({why})")

    def spawn(self, program: Program, limits: Limits) -> Child:
        """A new child for a program."""
        return self.sandbox(program.class_name is not None).spawn(self._entry, limits)
