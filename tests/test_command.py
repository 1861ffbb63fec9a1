"""Coding agents as agents: folder, answers, repair, reports."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autotts.agents import Settings, most_of
from autotts.agents.command import make_command
from autotts.agents.command.process import MOST_OUTPUT, run
from autotts.agents.command.workspace import START
from autotts.errors import (
    AgentError,
    AgentUnavailable,
    EmptyAnswer,
    InputError,
    MalformedAnswer,
)
from tests.commands import GOOD, PARENT, WRITE, Fake, Purse, context, fakes, propose, scratch_folder


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from scratch_folder(tmp_path, monkeypatch)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return fakes(tmp_path, monkeypatch)


# ---- the folder and the answer -----------------------------------------------------------------------------------


def test_the_agent_finds_its_files_and_its_edit_is_the_proposal(fake: Fake, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    fake(
        "files = {}\n"
        "for place, _, names in os.walk('.'):\n"
        "    files.update({os.path.join(place, n)[2:]: open(os.path.join(place, n)).read() for n in names})\n"
        f"open({str(report)!r}, 'w').write(json.dumps([os.stat('.').st_mode & 0o777, files, sys.stdin.read()]))\n"
        f"{WRITE}print('I widened it')\n"
    )
    purse = Purse()
    made = propose("agent", purse)
    assert made.source == GOOD.format(n=3)
    assert made.parents == ("aaaaaaaaaa",)
    assert made.answer == "I widened it"
    mode, files, said = json.loads(report.read_text())
    assert mode == 0o700
    assert set(files) == {
        "TASK.md", "controller.py", "evidence/states.md", "evidence/README.md",
        "history/README.md", "history/cmc.py", "history/aaaaaaaaaa.py", "history/bbbbbbbbbb.py",
    }  # fmt: skip
    assert files["controller.py"] == PARENT.source
    assert said == made.prompt
    assert files["TASK.md"].endswith(said)
    assert "evidence/states.md" in said
    assert "- branches: no branches here" in files["evidence/README.md"]
    rows = [line for line in files["history/README.md"].splitlines() if line.startswith("| ")]
    assert "| 1.0 | aaaaaaaaaa | aaaaaaaaaa.py | ok | +1.00 ± 0.40 |" in rows[2]
    assert "(a\\|b)" in rows[3]
    ((prompt, templates, tokens, cost),) = purse.begun
    assert prompt == files["TASK.md"]
    assert set(templates) == {"system", "workspace"}
    assert (tokens, cost) == (750_000, None)
    ((outcome, reply, usage, used, paid),) = purse.ended
    assert (outcome, usage, used, paid) == ("ok", {}, 750_000, None)
    assert json.loads(reply)["text"] == made.source


def test_without_a_parent_there_is_a_program_to_begin_with(fake: Fake) -> None:
    fake(f"assert open('controller.py').read() == {START!r}\n{WRITE}")
    agent = make_command("agent", Settings())
    assert agent.propose(context(Purse(), ()), random.Random(0)).parents == ()


def test_placeholders_are_single_arguments_and_no_shell_reads_them(fake: Fake, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    fake(f"open({str(report)!r}, 'w').write(json.dumps([sys.argv[1:], sys.stdin.read(), os.getcwd()]))\n{WRITE}")
    made = propose("agent --x 'a  b; $HOME' {task} --f={task_file} {workspace} {other}", Purse())
    words, given, place = json.loads(report.read_text())
    assert words == ["--x", "a  b; $HOME", made.prompt, f"--f={place}/TASK.md", place, "{other}"]
    assert given == ""


BAD: dict[str, tuple[str, type[AgentError], str]] = {
    "leaves it": ("", MalformedAnswer, "left controller.py as it was"),
    "adds a blank": ("open('controller.py', 'a').write('  \\n')", MalformedAnswer, "as it was"),
    "removes it": ("os.remove('controller.py')", EmptyAnswer, "no controller.py"),
    "empties it": ("open('controller.py', 'w').write(' \\n')", EmptyAnswer, "is empty"),
    "a link": ("os.remove('controller.py'); os.symlink('/etc/passwd', 'controller.py')", MalformedAnswer, "plain file"),
    "a hard link": ("open('x', 'w').write('y'); os.replace('x', 'controller.py'); os.link('controller.py', 'z')",
                    MalformedAnswer, "plain file"),
    "a pipe": ("os.remove('controller.py'); os.mkfifo('controller.py')", MalformedAnswer, "plain file"),
    "a folder": ("os.remove('controller.py'); os.mkdir('controller.py')", MalformedAnswer, "plain file"),
    "no text": ("open('controller.py', 'wb').write(b'\\xff\\xfe')", MalformedAnswer, "UTF-8"),
    "too long": ("open('controller.py', 'w').write('#' * 3_000_000)", MalformedAnswer, "3,000,000 bytes"),
    "crashes": ("sys.exit('boom')", AgentUnavailable, "exit code 1.*boom"),
    "kills itself": ("os.kill(os.getpid(), 9)", AgentUnavailable, "exit code -9"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_answer_has_its_own_outcome(fake: Fake, what: str) -> None:
    body, outcome, words = BAD[what]
    fake(body)
    purse = Purse()
    with pytest.raises(outcome, match=words):
        propose("agent", purse)
    ((told, reply, _, tokens, _),) = purse.ended
    assert told.startswith(outcome.__name__)
    assert (reply, tokens) == ("", 750_000)


def test_a_program_is_taken_though_the_agent_failed_after_it(fake: Fake) -> None:
    fake(f"{WRITE}sys.exit('late boom')")
    made = propose("agent", Purse())
    assert made.source == GOOD.format(n=3)
    assert "exit code 1" in made.answer
    assert "late boom" in made.answer


def test_keys_are_not_repeated(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret-value")
    fake("print(os.environ['SOME_API_KEY'], file=sys.stderr); sys.exit(3)")
    purse = Purse()
    with pytest.raises(AgentUnavailable, match=r"\*\*\*") as caught:
        propose("agent", purse)
    assert "sk-very" not in str(caught.value) + str(purse.ended)
    fake("open('controller.py', 'w').write('# ' + os.environ['SOME_API_KEY'])")
    with pytest.raises(MalformedAnswer, match="SOME_API_KEY") as caught:
        propose("agent", purse)
    assert "sk-very" not in str(caught.value) + str(purse.ended)


def test_a_huge_output_is_kept_in_part(fake: Fake, tmp_path: Path) -> None:
    path = fake("for _ in range(300): sys.stdout.write('x' * 100_000)\nprint('the end')")
    ended = run([path], tmp_path, "", 30)
    assert ended.code == 0
    assert len(ended.out) <= MOST_OUTPUT
    assert ended.out.endswith("xxthe end\n")


def test_a_long_task_comes_by_its_file(fake: Fake, tmp_path: Path) -> None:
    from autotts.agents.command import command_line

    line = command_line(f"{fake('')} {{task}}")
    words, given = line.command("x" * 200_000, tmp_path / "TASK.md", tmp_path, None)
    assert words[1] == f"Read {tmp_path / 'TASK.md'}: it is your task, to the letter."
    assert given == ""


# ---- the repair --------------------------------------------------------------------------------------------------

MEND = f"""
text = sys.stdin.read()
if 'BROKEN is not allowed' in text:
    assert 'BROKEN' in open('controller.py').read() and open('REPAIR.md').read() == text
    {WRITE.strip()}
    print('mended')
else:
    open('controller.py', 'w').write('# BROKEN\\n')
    print('first')
"""


def test_a_broken_program_is_mended_in_the_same_folder(fake: Fake) -> None:
    fake(MEND)
    purse = Purse()
    made = propose("agent", purse)
    assert (made.source, made.answer) == (GOOD.format(n=3), "mended")
    assert [tokens for _, _, tokens, _ in purse.begun] == [750_000, 250_000]
    assert set(purse.begun[1][1]) == {"repair"}
    # Interrupted after the first answer: it is not asked for again. After both: nothing is.
    first, second = (reply for _, reply, *_ in purse.ended)
    half = Purse(first)
    assert propose("agent", half) == made
    assert [tokens for _, _, tokens, _ in half.begun] == [250_000]
    whole = Purse(first, second)
    assert propose("agent", whole) == made
    assert whole.begun == []


def test_a_repair_in_vain_leaves_the_program_to_the_search(fake: Fake) -> None:
    fake("open('controller.py', 'w').write('# BROKEN\\n')")
    for purse in (Purse(), Purse(admits=1)):
        made = propose("agent", purse)
        assert made.source == "# BROKEN\n"
        assert "in vain" in made.answer


# ---- the known command lines -------------------------------------------------------------------------------------

CLAUDE = {
    "type": "result", "subtype": "success", "is_error": False, "result": "Done.", "total_cost_usd": 0.25,
    "usage": {"input_tokens": 5, "output_tokens": 7},
    "modelUsage": {
        "big": {"inputTokens": 10, "outputTokens": 20, "cacheReadInputTokens": 30, "cacheCreationInputTokens": 40},
        "small": {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 0, "cacheCreationInputTokens": 0},
    },
}  # fmt: skip


@pytest.mark.parametrize("wrap", [lambda row: row, lambda row: [{"type": "system"}, row]])
def test_claude_is_told_its_ceiling_and_believed_in_its_figures(fake: Fake, tmp_path: Path, wrap: Any) -> None:
    report = tmp_path / "report.json"
    text = json.dumps(wrap(CLAUDE))
    fake(f"open({str(report)!r}, 'w').write(json.dumps(sys.argv[1:]))\n{WRITE}print({text!r})", "claude")
    purse = Purse()
    made = propose("claude:some-model", purse)
    assert made.answer == "Done."
    words = json.loads(report.read_text())
    assert words[0] == "-p"
    assert words[words.index("--model") + 1] == "some-model"
    assert words[words.index("--max-budget-usd") + 1] == "2.70"
    ((_, _, tokens, cost),) = purse.begun
    assert (tokens, cost) == (750_000, 4.5)
    ((_, _, usage, used, paid),) = purse.ended
    assert usage == {"input": 11, "output": 22, "cache_read": 30, "cache_write": 40}
    assert (used, paid) == (103, 0.25)


def test_claude_that_may_not_work_says_why(fake: Fake) -> None:
    row = {"type": "result", "subtype": "success", "is_error": True, "result": "Not logged in", "total_cost_usd": 0,
           "usage": {"input_tokens": 0, "output_tokens": 0}, "modelUsage": {}}  # fmt: skip
    fake(f"print({json.dumps(row)!r}); sys.exit(1)", "claude")
    purse = Purse()
    with pytest.raises(AgentUnavailable, match="Not logged in"):
        propose("claude", purse)
    assert purse.ended[0][3:] == (0, 0.0)


def test_codex_tells_tokens_and_prices_tell_the_rest(fake: Fake, tmp_path: Path) -> None:
    usage = {"input_tokens": 1000, "cached_input_tokens": 400, "output_tokens": 50}
    rows = [
        {"type": "error", "message": "Reconnecting"},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "Hypothesis."}},
        {"type": "turn.completed", "usage": usage},
    ]
    lines = "\n".join(map(json.dumps, rows))
    fake(f"assert sys.argv[1] == 'exec' and sys.argv[-1] == '-'\n{WRITE}print({lines!r})", "codex")
    purse = Purse()
    assert propose("codex:m", purse).answer == "Hypothesis."
    assert purse.begun[0][3] is None
    ((_, _, counted, used, paid),) = purse.ended
    assert counted == {"input": 600, "cache_read": 400, "cache_write": 0, "output": 50}
    assert (used, paid) == (1050, None)
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"command/codex:m": {"input": 1, "output": 10}}))
    purse = Purse()
    propose("codex:m", purse, prices=str(prices))
    assert purse.begun[0][3] == pytest.approx(7.5)
    assert purse.ended[0][4] == pytest.approx((1000 + 500) / 1e6)


def test_codex_that_failed_says_why(fake: Fake) -> None:
    rows = [{"type": "turn.failed", "error": {"message": "no credit"}}]
    fake(f"print({json.dumps(rows[0])!r})", "codex")
    with pytest.raises(AgentUnavailable, match="no credit"):
        propose("codex", Purse())


def test_a_bad_name_is_one_sentence(fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, words in (
        ("claude", "npm install -g @anthropic-ai/claude-code"),
        ("codex:gpt", "npm install -g @openai/codex"),
        ("nowhere --x", "'nowhere'"),
        ("agent 'x", "quotes"),
        ("  ", "give claude"),
    ):
        with pytest.raises(InputError, match=words):
            make_command(name, Settings())


def test_the_most_is_known_where_somebody_keeps_it(fake: Fake) -> None:
    for name in ("claude", "codex", "agent"):
        fake("", name)
    found = [most_of(make_command(name, Settings(proposal_tokens=10))) for name in ("claude", "codex", "agent")]
    assert found == [(10, 6.0), (10, None), (10, None)]
