"""Every command in README and docs is run, in order, on a small search."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import autotts
import autotts.ui.browser
from autotts.prompts.library import VARIABLES
from autotts.search.events import Event, event_name
from autotts.ui.browser import Browser
from autotts.ui.browser.view import View
from tests.engines import client_or_skip
from tests.stub_servers import token_server

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "AUTOTTS_ROUNDS": "1",
    "AUTOTTS_PROPOSALS_PER_ROUND": "2",
    "AUTOTTS_SEEDS": "2",
    "AUTOTTS_SCREEN_SEEDS": "1",
    "AUTOTTS_BETAS": "3",
}
"""What a test can wait for; every option has such a variable."""


def commands(text: str, kind: str) -> list[str]:
    blocks: list[str] = re.findall(rf"<!-- {kind} -->\n```bash\n(.*?)```", text, re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_readme_runs_as_written(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    (setup,) = commands(readme, "setup")
    search = setup.split("&&")[-1].strip()
    assert search.endswith("/autotts search")
    environment = {**os.environ, **SMALL}
    for command in ["autotts search", *commands(readme, "run")]:
        words = [sys.executable, "-m", "autotts", *shlex.split(command)[1:]]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=400)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "controller.py").read_text().startswith("#==== AutoTTS: ")


def test_the_sandbox_page_runs_as_written(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "sandbox.md").read_text()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands(text, "run"):
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    client_or_skip().close()
    for command in commands(text, "engine"):
        done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_the_prompts_page_runs_as_written(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "prompts.md").read_text()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands(text, "run"):
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "overridden by mine/system.md.jinja" in done.stdout
    assert all(f"| `{name}` | " in text and all(f"`{v}`" in text for v in VARIABLES[name]) for name in VARIABLES)


@pytest.mark.sample(2)
@pytest.mark.parametrize("page", ["agents", "archive", "controllers", "evidence", "reports", "statistics"])
def test_pages_with_commands_run_as_written(page: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    environment = {**os.environ, **SMALL, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    written = commands(text, "run")
    assert len(written) > 3
    for command in written:
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert done.stdout or "--display none" in command


def test_the_configuration_page_runs_as_written(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    (example,) = re.findall(r"<!-- toml -->\n```toml\n(.*?)```", text, re.S)
    (tmp_path / "autotts.toml").write_text(example)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AUTOTTS_")}
    environment = {**plain, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    told = []
    for command in commands(text, "run"):
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        told.append(done.stdout)
    assert "autotts.toml line" in told[0] and told[-1] == "search_ended\n"
    for kind in Event.__subclasses__():
        fields_of = ", ".join(f"`{field.name}`" for field in fields(kind) if field.name != "run")
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{event_name(kind)}` |"))
        assert re.findall(r"`\w+`", row)[1:] == fields_of.split(", ")


def test_the_browsers_page_names_every_key() -> None:
    text = (ROOT / "docs" / "browse.md").read_text()
    (table,) = re.findall(r"## Keys\n\n(.*?)\n\n", text, re.S)
    keys = {key for row in table.splitlines() for key in re.findall(r"`([^`]+)`", row.split(" | ")[0])} | {"up", "down"}
    named = {"slash": "/", "left_square_bracket": "[", "right_square_bracket": "]", "question_mark": "?", "plus": "+"}
    named |= {"minus": "-", "equals_sign": "+", "up": "home", "down": "end"}
    modules = [info.name for info in pkgutil.iter_modules(autotts.ui.browser.__path__, "autotts.ui.browser.")]
    found = [
        kind for name in modules for kind in vars(importlib.import_module(name)).values() if isinstance(kind, type)
    ]
    bindings = [b for kind in found if issubclass(kind, View | Browser) for b in vars(kind).get("BINDINGS", ())]
    assert len(bindings) > 30
    missing = {key for b in bindings for key in b.key.split(",") if named.get(key, key) not in keys}
    assert not missing


def test_the_library_page_runs_as_written(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "library.md").read_text()
    blocks: list[str] = re.findall(r"<!-- python -->\n```python\n(.*?)```", text, re.S)
    assert len(blocks) == text.count("```python") == 4
    conformance = "import inspect\nfor name, test in inspect.getmembers(TestBest(), inspect.ismethod):\n"
    blocks[-1] += f"{conformance}    name.startswith('test_') and print(name, test())\n"
    with token_server() as stub:
        for block in blocks:
            code = block.replace("http://localhost:8000/v1", stub.url).replace("Qwen/Qwen3-8B", "stub")
            words = [sys.executable, "-c", code]
            done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=200)
            assert done.returncode == 0, done.stderr
            assert done.stdout


def test_the_public_surface_is_there_name_by_name() -> None:
    assert sorted(autotts.__all__) == sorted(autotts._ROOM_OF)
    assert all(getattr(autotts, name) is not None for name in autotts.__all__)
    assert set(autotts.__all__) <= set(dir(autotts))
    with pytest.raises(AttributeError, match="nothing"):
        _ = autotts.nothing


def test_every_bash_block_says_who_runs_it() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text()
        assert text.count("```bash") == len(
            re.findall(r"<!-- (?:setup|test|run|terminal|engine|benchmark) -->\n```bash", text)
        ), page


def test_links_at_the_top_lead_into_the_package() -> None:
    for name in ("sandbox", "archive", "prompts"):
        assert (ROOT / name).resolve() == ROOT / "autotts" / name


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, autotts; print(len([m for m in sys.modules if m.split('.')[0] in ('numpy', 'openai', 'docker')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_every_module_has_what_its_all_names() -> None:
    found = [info.name for info in pkgutil.walk_packages(autotts.__path__, "autotts.")]
    modules = [
        importlib.import_module(name) for name in found if "__main__" not in name and ".controllers." not in name
    ]
    missing = [f"{m.__name__}.{name}" for m in modules for name in getattr(m, "__all__", ()) if not hasattr(m, name)]
    assert len(modules) > 100 and missing == []
