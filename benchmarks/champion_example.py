"""A search with questions in reserve, and the report of it as it is printed.

python benchmarks/champion_example.py [--rounds 3] [--out PATH]
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def printed(command: str, folder: str) -> str:
    """What an `autotts` command prints."""
    words = [sys.executable, "-m", "autotts", *shlex.split(command)[1:]]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "champion-example.md")
    options = parser.parse_args()
    size = f"--rounds {options.rounds} --seeds 3 --screen-seeds 1 --betas 6"
    search = f"autotts search {size} --reserve 0.3 --display none"
    shown = ["autotts champion --look", "autotts calibrate cmc --budget 150k --seeds 2"]
    with tempfile.TemporaryDirectory() as folder:
        printed(search, folder)
        outputs = [(command, printed(command, folder)) for command in shown]
    page = [
        "# The report of a search",
        "",
        f"- Command: `{shlex.join(['python', 'benchmarks/champion_example.py', *sys.argv[1:]])}`",
        "- Data: `synthetic:search`, 30 questions in four environments, 9 of them in reserve",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        f"- Search: `{search}`",
        "",
        'What the figures mean, and when a report says "better": [statistics.md](statistics.md).',
    ]
    for command, output in outputs:
        page += ["", f"`{command}`:", "", "```text", output, "```"]
    options.out.write_text("\n".join([*page, ""]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
