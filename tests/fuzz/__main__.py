"""Fuzz one target, guided by coverage: python -m tests.fuzz TARGET FOLDER [options of libFuzzer].

What is interesting is kept in the folder, and a later run begins with it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["autotts"]):
    from tests.fuzz.targets import SEEDS, TARGETS

if __name__ == "__main__":
    name, corpus = sys.argv.pop(1), Path(sys.argv.pop(1))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, str(corpus)], TARGETS[name])
    atheris.Fuzz()
