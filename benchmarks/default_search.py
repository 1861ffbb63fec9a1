"""The first command of the README: how long it takes, and whether its front beats every baseline's where it never was.

    python benchmarks/default_search.py [--seeds 1] [--fresh 20] [--out PATH]

Runs `autotts search` on the embedded environments as it stands, then scores its front (every program of it at the β at
which it holds a stretch) and every baseline on `synthetic:heldout`, on fresh episode seeds. Exits with 1 where a
baseline is not beaten in hypervolume or in gain at matched tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scoring import Fresh, Points, cell

from autotts.archive import Archive
from autotts.evaluation import Program, even_betas, shipped
from autotts.replay import load_environments
from autotts.search import BASELINES

ROOT = Path(__file__).resolve().parents[1]
AUTOTTS = [sys.executable, "-m", "autotts"]


def searched(seed: int) -> tuple[Points, float]:
    """Run the search in an empty folder; its front, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        subprocess.run([*AUTOTTS, "search", "--seed", str(seed)], cwd=folder, stdout=subprocess.DEVNULL, check=True)
        seconds = time.monotonic() - start
        told = subprocess.run([*AUTOTTS, "front", "--json"], cwd=folder, capture_output=True, text=True, check=True)
        points: list[dict[str, Any]] = json.loads(told.stdout)
        with Archive(str(Path(folder) / "autotts.db"), create=False) as archive:
            programs = {point["id"]: archive.resolve(point["id"]) for point in points}
        return [(Program(programs[p["id"]].source, p["id"]), p["beta"]) for p in points], seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="searches")
    parser.add_argument("--fresh", type=int, default=20, help="episode seeds that fronts are scored on")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "default-search.md")
    options = parser.parse_args()
    heldout = Fresh(load_environments(["synthetic:heldout"]), options.fresh)
    curves = {name: [(shipped(name), beta) for beta in even_betas(11)] for name in BASELINES}
    rows, beaten = [], True
    for seed in range(options.seeds):
        front, seconds = searched(seed)
        volume = heldout.hypervolume(front)
        for name, curve in curves.items():
            gain, theirs = heldout.gain(front, curve), heldout.hypervolume(curve)
            beaten = beaten and volume > theirs and gain[0] > 0
            rows.append(f"| {seed} | {seconds:.0f} s | {volume:.4f} | {name} | {theirs:.4f} | {cell(gain)} |")
            print(rows[-1], flush=True)
    page = [
        "# The default search on questions that it never saw",
        "",
        f"- Command: `{shlex.join(['python', 'benchmarks/default_search.py', *sys.argv[1:]])}`",
        f"- Data: `synthetic:search` searched; `synthetic:heldout` scored on {options.fresh} fresh episode seeds",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "",
        "Gain of the front at matched tokens over each baseline, in points of accuracy, ± standard error over",
        "questions; hypervolume in (log tokens, accuracy) from pass@1 and one mean branch to 100 % and SC@64's tokens.",
        "",
        "| search seed | took | front's hypervolume | baseline | its hypervolume | gain of the front |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"The front beats every baseline in both: {'yes' if beaten else 'no'}.",
        "",
    ]
    options.out.write_text("\n".join(page), encoding="utf-8")
    return 0 if beaten else 1


if __name__ == "__main__":
    sys.exit(main())
