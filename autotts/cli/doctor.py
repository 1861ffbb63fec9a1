"""`autotts doctor`: what this machine can isolate, and what AutoTTS finds on it."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import click
from rich.table import Table

from autotts.agents.models import PROVIDERS
from autotts.cli._common import console, json_option, print_json
from autotts.errors import SandboxError
from autotts.evaluation import Evaluator
from autotts.sandbox import Sandbox
from autotts.sandbox.docker.engine import survey
from autotts.sandbox.docker.image import image_name

__all__ = ["doctor"]

KEYS = (*{name: 0 for p in PROVIDERS.values() for name in (p.variable, p.address_variable) if name}, "DOCKER_HOST")
"""Names only: a value is never shown."""


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Tell which layers isolate a program here, its limits, container engines, and which keys are set.

    Ends with 1 where neither strict isolation nor a container can be had.
    """
    found = _look()
    fit = found["isolation"] == "strict" or any(engine["answers"] for engine in found["engines"])
    if as_json:
        print_json(found)
    else:
        _print(found, fit)
    return 0 if fit else 1


def _look() -> dict[str, Any]:
    try:
        with Sandbox() as sandbox:
            layers, isolation = sandbox.layers, sandbox.isolation
    except SandboxError as error:
        layers, isolation = {}, f"none ({error})"
    evaluator = Evaluator
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("autotts", "RestrictedPython", "numpy", "docker")},
        "isolation": isolation,
        "layers": layers,
        "limits": {
            "memory_mb": evaluator.memory_mb,
            "cpu_seconds_per_episode": evaluator.cpu_seconds_per_episode,
            "smoke": asdict(evaluator.smoke),
        },
        "engines": [{"address": a, "found": what, "answers": answers} for a, what, answers in survey()],
        "image": image_name(),
        "keys": {name: bool(os.environ.get(name)) for name in KEYS},
    }


def _print(found: dict[str, Any], fit: bool) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("system", found["system"])
    table.add_row("versions", ", ".join(f"{name} {value}" for name, value in found["versions"].items()))
    table.add_row("isolation", found["isolation"])
    for name, state in found["layers"].items():
        table.add_row(f"  {name}", state)
    limits, smoke = found["limits"], found["limits"]["smoke"]
    table.add_row(
        "limits",
        f"{limits['memory_mb']} MiB of memory; {1000 * limits['cpu_seconds_per_episode']:g} ms of CPU time an episode; "
        f"first {smoke['cpu_seconds']:g} s of it (or {smoke['wall_seconds']:g} s by the clock) for a few episodes; "
        f"{smoke['output_bytes'] >> 20} MiB of output",
    )
    for engine in found["engines"] or [{"address": "", "found": "none: there is no socket of Docker or Podman"}]:
        table.add_row("engine", f"{engine['found']}  {engine['address']}".rstrip())
    table.add_row("image", found["image"])
    table.add_row("keys", ", ".join(f"{name} {'set' if there else 'not set'}" for name, there in found["keys"].items()))
    console().print(table)
    if not fit:
        console().print(
            "Programs that a model or a stranger wrote need a container engine here (--sandbox docker), or an explicit "
            "--isolation reduced."
        )
    elif found["isolation"] != "strict":
        console().print("Strict isolation cannot be had here without a container: use --sandbox docker.")
