"""Both sides of the protocol against any bytes; guided by coverage where atheris is installed."""

from __future__ import annotations

import importlib.util
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[1]

numbers = st.one_of(st.integers(-2, 9), st.integers(-(2**31), 2**31 - 1))
words = st.lists(numbers, max_size=60).map(lambda values: struct.pack(f"<{len(values)}i", *values))
framed = st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=60)), max_size=8).map(
    lambda parts: b"".join(struct.pack("<IB", len(p), kind) + p for kind, p in parts)
)
muxed = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.binary(max_size=60)), max_size=8).map(
    lambda parts: b"".join(struct.pack("<IBI", n, kind, len(p)) + p for n, kind, p in parts)
)
texts = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["Crashed", "ok", "n", "line"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["outcome", "message", "line", "where", "n", "x y"]), inner, max_size=4),
    ),
).map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_any_bytes_end_well(target: Callable[[bytes], None]) -> None:
    """What must hold is asserted in the targets (tests/fuzz/targets.py), which both fuzzers share."""

    @settings(max_examples=300, deadline=None)
    @given(st.one_of(st.binary(max_size=300), words, framed, muxed, texts))
    def feed(data: bytes) -> None:
        target(data)

    feed()


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("target", TARGETS)
def test_guided_by_coverage(target: str, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "tests.fuzz",
        target,
        str(tmp_path / "corpus"),
        "-runs=3000",
        "-seed=1",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 3000" in done.stderr
