"""Fuzz one target, guided by coverage: python -m tests.fuzz TARGET [options of libFuzzer]."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["autotts"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
