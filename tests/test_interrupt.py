"""Ctrl-C: a clean stop that keeps everything and says how to go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from autotts.replay import save_environment
from tests.small import small_environment


def test_ctrl_c_keeps_everything_and_says_how_to_go_on(tmp_path: Path) -> None:
    save_environment(small_environment(), tmp_path / "tiny.jsonl")
    words = [sys.executable, "-m", "autotts", "search", "--env", "tiny.jsonl", "--rounds", "50"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("round 0"):
                break
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 130
        assert "autotts resume run-1" in rest
