"""The paper's recorded branches, from its repository: each file is verified before it has its name."""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from autotts.errors import InputError, ServerError
from autotts.files import write_whole

__all__ = ["PAPER", "fetch", "paper_files"]

PAPER = "https://raw.githubusercontent.com/zhengkid/AutoTTS/main/efficient_reasoning_controller/test_environment"
"""Where the files are, as <model>/<dataset>.json."""

SECONDS = 60.0
"""Within which something must come."""

CHUNK = 1 << 16

Told = Callable[[str, str], None]


@lru_cache
def paper_files() -> Mapping[str, tuple[str, int]]:
    """Every file of the paper, `<model>/<dataset>.json`, with its SHA-256 (hex) and its bytes."""
    table: Any = json.loads((files("autotts.live") / "paper_checksums.json").read_text(encoding="utf-8"))
    return {name: (row["sha256"], row["bytes"]) for name, row in sorted(table.items())}


def fetch(folder: Path, models: frozenset[str], datasets: frozenset[str], source: str, force: bool, told: Told) -> None:
    """Fetch files into `folder/<model>/<dataset>.json`; those that are there and right are not fetched again.

    Args:
        folder: where to.
        models, datasets: names, empty for all.
        source: the address that the files are below.
        force: replace files that are there and are others.
        told: is called with each file's name and what became of it.

    Raises:
        InputError: no such model or data set, a file of that name is another, or it cannot be written.
        ServerError: a file cannot be fetched, or is not what was published.
    """
    wanted = [name for name in paper_files() if _is_wanted(name, models, datasets)]
    for given, at, what in ((models, 0, "--model"), (datasets, 1, "--dataset")):
        there = {_parts(name)[at] for name in paper_files()}
        if unknown := sorted(given - there):
            raise InputError(f"{what} {unknown[0]}: the paper has none of that name; it has {', '.join(sorted(there))}")
    if not wanted:
        raise InputError("--model and --dataset: the paper has no file for these together")
    for name in wanted:
        path = folder / name
        if _is_right(path, name):
            told(name, "is there already")
            continue
        if path.exists() and not force:
            raise InputError(
                f"{path}: is another file than the paper's; give another folder, or replace it with --force"
            )
        write_whole({path: [_fetched(f"{source.rstrip('/')}/{name}", name)]}, folders=True)
        told(name, f"fetched, {paper_files()[name][1]:,} bytes")


def _parts(name: str) -> tuple[str, str]:
    model, _, file = name.partition("/")
    return model, file.removesuffix(".json")


def _is_wanted(name: str, models: frozenset[str], datasets: frozenset[str]) -> bool:
    model, dataset = _parts(name)
    return (not models or model in models) and (not datasets or dataset in datasets)


def _is_right(path: Path, name: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == paper_files()[name][0]
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give another folder") from error


def _fetched(address: str, name: str) -> bytes:
    key, size = paper_files()[name]
    if not address.startswith(("https://", "http://")):
        raise InputError(f"--from {address}: is no address; write https://host/path")
    data = bytearray()
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            while len(data) <= size and (chunk := answer.read(CHUNK)):
                data += chunk
    except urllib.error.HTTPError as error:
        error.close()
        raise ServerError(
            f"{address}: the server answers {error.code} {error.reason}; give another place with --from"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ServerError(
            f"{address}: cannot be fetched ({reason}); is there a network? The same command goes on"
        ) from None
    if hashlib.sha256(data).hexdigest() != key:
        found = f"{len(data):,}" if len(data) <= size else "more"
        raise ServerError(
            f"{address}: is not what was published ({found} bytes, and there are {size:,}; SHA-256 differs), so it was "
            "not kept; try again, or give another place with --from"
        )
    return bytes(data)
