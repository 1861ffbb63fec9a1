"""`autotts env fetch paper` from a server of our own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from autotts.cli import _run
from autotts.live import fetch
from autotts.live.fetch import paper_files
from autotts.replay import load_environment

DATA = {
    "Small/quiz.json": json.dumps(
        [{"question": "6·7?", "gold_answer": "42", "probe_freq": 500, "each_branch": [[["41"], 700, "42"]]}]
    ).encode(),
    "Small/test.json": b"[1]",
    "Large/quiz.json": b"[2]",
}


@pytest.fixture
def served(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HTTPServer:
    table = {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in DATA.items()}
    monkeypatch.setattr(fetch, "paper_files", lambda: table)
    monkeypatch.chdir(tmp_path)
    for name, data in DATA.items():
        httpserver.expect_request(f"/here/{name}").respond_with_data(data)
    return httpserver


def run(server: HTTPServer, *words: str) -> int:
    return _run(["env", "fetch", "paper", "-o", "got", "--from", server.url_for("/here"), *words])


def test_all_of_it_is_fetched_once(served: HTTPServer, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(served) == 0
    assert {str(p.relative_to("got")): p.read_bytes() for p in Path("got").rglob("*") if p.is_file()} == DATA
    assert load_environment("got/Small/quiz.json").name == "Small/quiz"
    assert len(served.log) == 3
    Path("got/Small/quiz.json").unlink()
    capfd.readouterr()
    assert run(served) == 0
    out = capfd.readouterr().out
    assert len(served.log) == 4 and out.count("is there already") == 2 and "got/Small/quiz.json: fetched" in out


def test_models_and_data_sets_can_be_chosen(served: HTTPServer, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(served, "--model", "Small", "--dataset", "quiz") == 0
    assert [str(p.relative_to("got")) for p in Path("got").rglob("*.json")] == ["Small/quiz.json"]
    assert run(served, "--model", "Small", "--model", "Larg") == 2
    assert "--model Larg: the paper has none of that name; it has Large, Small" in capfd.readouterr().err
    assert run(served, "--model", "Large", "--dataset", "test") == 2
    assert "no file for these together" in capfd.readouterr().err


@pytest.mark.parametrize("wrong", [b"", b"[3]", DATA["Small/quiz.json"] + b" ", b"x" * 300_000], ids=range(4))
def test_what_is_not_what_was_published_is_not_kept(
    wrong: bytes, served: HTTPServer, capfd: pytest.CaptureFixture[str]
) -> None:
    served.clear()
    served.expect_request("/here/Small/quiz.json").respond_with_data(wrong)
    assert run(served, "--model", "Small", "--dataset", "quiz") == 1
    assert "is not what was published" in capfd.readouterr().err and not Path("got").exists()


def test_another_file_of_that_name_stays_unless_it_is_forced(
    served: HTTPServer, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("got/Small").mkdir(parents=True)
    Path("got/Small/test.json").write_text("mine")
    assert run(served, "--dataset", "test") == 2
    assert "got/Small/test.json: is another file than the paper's" in capfd.readouterr().err
    assert Path("got/Small/test.json").read_text() == "mine"
    assert run(served, "--dataset", "test", "--force") == 0
    assert Path("got/Small/test.json").read_bytes() == b"[1]"


def test_no_network_and_no_such_file_are_one_sentence(served: HTTPServer, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["env", "fetch", "paper", "-o", "got", "--from"]
    assert _run([*words, "http://127.0.0.1:9/x"]) == 1
    told = capfd.readouterr().err
    assert "cannot be fetched" in told and "is there a network?" in told and told.count("\n") == 1
    assert _run([*words, served.url_for("/nowhere")]) == 1
    assert "the server answers 500" in capfd.readouterr().err
    assert _run([*words, "file:///etc"]) == 2
    assert "--from file:///etc" in capfd.readouterr().err


def test_the_papers_checksums_are_those_of_the_recordings(recorded: Path) -> None:
    found = {str(path.relative_to(recorded / "replay")): path for path in (recorded / "replay").rglob("*.json")}
    assert found and set(found) <= set(paper_files())
    for name, path in found.items():
        data = path.read_bytes()
        assert paper_files()[name] == (hashlib.sha256(data).hexdigest(), len(data))
