"""A long search with hostile programs, failing agents and duplicates: it ends, nothing stays, nothing grows.

`AUTOTTS_SOAK=5000` makes it longer; `python -m tests.soak 5000` tells what it sees.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from autotts.search import SlotEnded
from tests.leaks import COUNTED, WEIGHED
from tests.soak import PER_ROUND, Soaked, soak

CANDIDATES = int(os.environ.get("AUTOTTS_SOAK", "300"))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_soak(tmp_path: Path) -> None:
    seen = soak(CANDIDATES, tmp_path)
    assert seen.complaints() == [], "\n".join(seen.report())
    assert set(seen.outcomes) == {"ordinary", "hostile", "error", "broken", "duplicate"}
    assert seen.outcomes["hostile"].total() == CANDIDATES // PER_ROUND


def looked(candidates: int, grows: str = "", by: float = 0) -> Soaked:
    """A run in which everything was as it has to be, but for what grows by so much a candidate."""
    start = dict.fromkeys(WEIGHED, 50_000) | dict.fromkeys(COUNTED, 9)
    looks = [(k, start | {grows: start[grows] + int(by * k)} if grows else start) for k in range(candidates + 1)]
    return Soaked(candidates, {"ordinary": Counter(ok=candidates)}, looks=looks)


def test_what_grows_is_seen() -> None:
    assert looked(1000).complaints() == []
    for name in COUNTED:
        assert name in "".join(looked(100, name, 0.1).complaints())
    for name in WEIGHED:
        assert looked(1000, name, 0.5).complaints() == []
        assert name in "".join(looked(1000, name, 2).complaints())
        assert name in "".join(looked(300, name, 80).complaints())


def test_what_ends_otherwise_is_seen() -> None:
    seen = Soaked(2 * PER_ROUND)
    seen.hear(SlotEnded("run", 1, 9, "", "", "ok", None, None, False, ""))
    assert "ended as ok" in seen.wrong[0]
    seen.hear(SlotEnded("run", 1, 3, "", "", "Refused", None, None, False, "injected"))
    assert len(seen.wrong) == 1
