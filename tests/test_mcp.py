"""`autotts mcp`: a real client against the real process, and the serving logic without the protocol."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, ClientSession, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

from autotts.agents import make_agent
from autotts.agents.tools import ToolFailure
from autotts.archive import Archive
from autotts.archive import alone as module
from autotts.archive.alone import alone
from autotts.errors import InputError, LimitReached, SandboxError
from autotts.evaluation import Program
from autotts.replay import save_environment
from autotts.search import BASELINES, Budget, open_run
from autotts.search.serving import Guest, Served, guest_config, start_guest_run
from autotts.traces.bench import Bench, Draft
from tests.small import small_environment
from tests.test_search import HEALTHY, autotts

SMALL = ("--seeds", "2", "--screen-seeds", "1", "--betas", "3", "--workers", "1")
GIVEN = {"seeds": 2, "screen_seeds": 1, "betas": 3}
OTHER = HEALTHY.replace("two branches", "three branches").replace("2 +", "3 +")
SLOW = HEALTHY.replace("    wave =", "    for _ in range(400000):\n        pass\n    wave =")
"""A few milliseconds an episode, so that an evaluation takes long enough to be caught at it."""

LONG = ("--seeds", "60", "--screen-seeds", "60", "--betas", "3", "--workers", "1")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    save_environment(small_environment(), tmp_path / "tiny.jsonl")
    return tmp_path


def parameters(cwd: Path, *args: str) -> StdioServerParameters:
    """The server, which leaves its process id in a file."""
    words = [sys.executable, "-m", "autotts", "mcp", "--env", "tiny.jsonl", "--archive", "a.db", "--run", "r", *args]
    script = 'echo $$ > "pid" && exec "$@"'
    return StdioServerParameters(
        command="sh",
        args=["-c", script, "sh", *words],
        cwd=cwd,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "AUTOTTS_RUN": ""},
    )


@asynccontextmanager
async def client(cwd: Path, *args: str) -> AsyncIterator[ClientSession]:
    with (cwd / "log").open("a") as log:
        async with stdio_client(parameters(cwd, *args), errlog=log) as streams, ClientSession(*streams) as session:
            await session.initialize()
            yield session


async def call(session: ClientSession, name: str, /, **arguments: Any) -> tuple[str, bool]:
    result = await session.call_tool(name, arguments)
    (content,) = result.content
    assert content.type == "text"
    return content.text, bool(result.is_error)


def run(work: Coroutine[Any, Any, None], seconds: float = 120) -> None:
    asyncio.run(asyncio.wait_for(work, seconds))


def slots(cwd: Path, archive: str = "a.db") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(autotts("list", "--archive", archive, "--json", cwd=cwd))
    return [row for row in rows if row["round"]]


def state(cwd: Path) -> str:
    with Archive(str(cwd / "a.db"), create=False) as archive:
        return archive.run("r").state


def pending(cwd: Path) -> bool:
    with Archive(str(cwd / "a.db"), create=False) as archive:
        return any(proposal.verdict is None for proposal in archive.proposals("r"))


async def until_pending(cwd: Path) -> None:
    while not pending(cwd):
        await asyncio.sleep(0.02)


# ---- by the protocol -----------------------------------------------------------------------------------------------


def test_a_client_drives_a_search(world: Path) -> None:
    async def work() -> None:
        start = time.monotonic()
        with (world / "log").open("a") as log:
            async with stdio_client(parameters(world, *SMALL), errlog=log) as streams, ClientSession(*streams) as s:
                greeting = await s.initialize()
                assert time.monotonic() - start < 10
                assert greeting.server_info.name == "autotts"
                assert "run r" in (greeting.instructions or "")
                await drive(s)

    async def drive(session: ClientSession) -> None:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert list(tools) == ["rules", *(tool.name for tool in Served.tools())]
        assert tools["read_program"].input_schema["required"] == ["program"]
        assert "session ends" not in (tools["submit"].description or "")
        reading = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
        assert set(tools) - reading == {"submit", "evaluate_draft"}

        text, failed = await call(session, "history")
        assert not failed
        assert [line.split()[0] for line in text.splitlines()[1:]] == [f"0.{k}" for k in range(len(BASELINES))]
        assert "def solve(" in (await call(session, "read_program", program="cmc"))[0]

        text, failed = await call(session, "submit", source="import os\n" + HEALTHY)
        assert failed
        assert text.startswith("PolicyViolation\n  line 1: import os\n")
        text, failed = await call(session, "submit", source=HEALTHY)
        assert not failed
        assert text.startswith("1.0 ")
        assert "ok: gain" in text
        assert "±" in text
        text, failed = await call(session, "submit", source=HEALTHY)
        assert not failed
        assert text.startswith("2.0 ")
        assert "Duplicate: the same program as " in text and "of slot 1.0: 1.0 ok" in text
        text, _ = await call(session, "submit", base=text.split()[1], edits=EDITS, parents="")
        assert text.startswith("3.0 ")
        history, _ = await call(session, "history")
        assert "Reads two branches." in history.splitlines()[-3]
        assert "Reads five branches." in history.splitlines()[-1]
        assert (await call(session, "front"))[0].startswith("program ")
        child = history.splitlines()[-1].split()[1]
        assert "Reads two branches." in (await call(session, "lineage", program=child))[0]

    run(work())
    rows = slots(world)
    assert [(r["round"], r["slot"], r["agent"], r["outcome"]) for r in rows] == [
        (1, 0, "mcp", "ok"),
        (2, 0, "mcp", "Duplicate"),
        (3, 0, "mcp", "ok"),
    ]
    assert rows[2]["parents"] == [rows[0]["id"]]
    assert state(world) == "interrupted"
    assert "run r: serving" in (world / "log").read_text()
    autotts("front", "--archive", "a.db", cwd=world)
    autotts("show", rows[0]["id"], "--archive", "a.db", cwd=world)
    assert "`autotts mcp --run NAME`" in autotts("resume", "r", "--archive", "a.db", cwd=world, code=2)


EDITS = """<<<<<<< SEARCH
\"\"\"Reads two branches.\"\"\"
=======
\"\"\"Reads five branches.\"\"\"
>>>>>>> REPLACE
<<<<<<< SEARCH
    return {"n": 2 + round(4 * beta)}
=======
    return {"n": 5 + round(4 * beta)}
>>>>>>> REPLACE
"""


def test_what_does_not_fit_is_a_result_and_ends_nothing(world: Path) -> None:
    async def work() -> None:
        async with client(world, *SMALL) as session:
            for name, arguments, words in (
                ("nothing", {}, "no such tool"),
                ("read_program", {}, "program is missing"),
                ("read_program", {"program": 7}, "must be a string"),
                ("history", {"lats": 3}, "no argument 'lats'"),
                ("read_program", {"program": "beef"}, "no program of this search"),
                ("submit", {}, "give the whole program"),
                ("submit", {"draft": "draft-1"}, "no such draft"),
                ("submit", {"source": "def"}, "PolicyViolation"),
            ):
                text, failed = await call(session, name, **arguments)
                assert failed, (name, text)
                assert words in text, text
            rules, failed = await call(session, "rules")
            assert not failed
            read = (await session.read_resource("autotts://rules")).contents[0]
            assert getattr(read, "text", "") == rules
            said = (await session.get_prompt("rules")).messages[0].content
            assert getattr(said, "text", "") == rules
            assert [p.name for p in (await session.list_prompts()).prompts] == ["rules"]
            assert [str(r.uri) for r in (await session.list_resources()).resources] == ["autotts://rules"]
            for broken in (session.get_prompt("other"), session.read_resource("autotts://other")):
                with pytest.raises(MCPError, match="there is"):
                    await broken
            assert not (await call(session, "history"))[1]

    run(work())
    assert slots(world) == []


def test_a_measured_draft_is_submitted_by_its_name(world: Path) -> None:
    async def work() -> None:
        async with client(world, *SMALL) as session:
            text, failed = await call(session, "evaluate_draft", source=HEALTHY)
            assert not failed
            assert text.startswith("draft-1 (11 measurements left)")
        async with client(world) as session:
            text, failed = await call(session, "submit", draft="draft-1")
            assert not failed
            assert text.startswith("1.0 ")

    run(work())


def test_calls_at_once_are_done_one_after_another_and_nothing_else_waits(world: Path) -> None:
    async def work() -> None:
        async with client(world, *LONG) as session:
            assert not (await call(session, "front"))[1]
            beats: list[str | None] = []

            async def hear(_: float, __: float | None, message: str | None) -> None:
                beats.append(message)

            slow = asyncio.create_task(session.call_tool("submit", {"source": SLOW}, progress_callback=hear))
            await until_pending(world)
            given_up = asyncio.create_task(session.call_tool("submit", {"source": HEALTHY}))
            others = [asyncio.create_task(call(session, "submit", source=s)) for s in (OTHER, SLOW)]
            await asyncio.sleep(0.1)
            given_up.cancel()
            for _ in range(3):
                start = time.monotonic()
                await session.send_ping()
                assert (await call(session, "rules"))[0]
                assert time.monotonic() - start < 1
            assert not slow.done()
            first = (await slow).content[0]
            assert getattr(first, "text", "").startswith("1.0 ")
            texts = [text for text, _ in await asyncio.gather(*others)]
            assert [text.split()[0] for text in texts] == ["2.0", "3.0"]
            assert "Duplicate" in texts[1]
            assert beats
            assert "evaluation: 1.0" in (beats[-1] or "")

    run(work())
    assert [r["outcome"] for r in slots(world)] == ["ok", "ok", "Duplicate"]


def test_killed_at_an_evaluation_it_goes_on_as_if_it_had_not_been(world: Path) -> None:
    async def killed() -> None:
        with pytest.raises((MCPError, ExceptionGroup, OSError)):
            async with client(world, *SMALL) as session:
                await call(session, "submit", source=OTHER)
                task = asyncio.create_task(call(session, "submit", source=SLOW))
                await until_pending(world)
                os.kill(int((world / "pid").read_text()), signal.SIGKILL)
                await task

    async def goes_on() -> None:
        async with client(world) as session:  # the run knows its own settings
            history, failed = await call(session, "history")
            assert not failed
            assert [line.split()[0] for line in history.splitlines()[-2:]] == ["1.0", "2.0"]
            assert (await call(session, "submit", source=HEALTHY))[0].startswith("3.0 ")

    async def whole() -> None:
        async with client(world, *SMALL, "--archive", "whole.db") as session:
            for source in (OTHER, SLOW, HEALTHY):
                assert not (await call(session, "submit", source=source))[1]

    run(killed())
    assert state(world) == "running"
    run(goes_on())
    assert state(world) == "interrupted"
    run(whole())
    assert slots(world) == slots(world, "whole.db")
    assert len(slots(world)) == 3


def test_a_client_that_leaves_at_an_evaluation_leaves_it_to_the_next(world: Path) -> None:
    async def leaves() -> None:
        async with client(world, *SMALL) as session:
            await call(session, "front")
            task = asyncio.create_task(call(session, "submit", source=SLOW))
            await until_pending(world)
            task.cancel()

    async def comes_back() -> None:
        async with Client(parameters(world)) as other:  # of the newest protocol
            result = await other.call_tool("history", {})
            assert not result.is_error
            assert getattr(result.content[0], "text", "").splitlines()[-1].startswith("1.0 ")

    run(leaves())
    assert state(world) == "interrupted"
    assert pending(world)
    run(comes_back())
    assert [r["outcome"] for r in slots(world)] == ["ok"]


def test_limits_end_submissions_but_not_reading(world: Path) -> None:
    async def work() -> None:
        async with client(world, *SMALL, "--max-proposals", "1") as session:
            text, failed = await call(session, "submit", source=HEALTHY)
            assert not failed
            assert "no further proposals: --max-proposals 1" in text
            for name in ("submit", "evaluate_draft"):
                text, failed = await call(session, name, source=OTHER)
                assert failed
                assert "--max-proposals 1" in text
            assert not (await call(session, "history"))[1]

    async def more() -> None:
        async with client(world, "--max-proposals", "2") as session:
            assert (await call(session, "submit", source=OTHER))[0].startswith("2.0 ")
            assert (await call(session, "submit", source=SLOW))[1]

    run(work())
    assert state(world) == "limit"
    run(more())
    assert len(slots(world)) == 2


def test_sigterm_ends_it_though_the_client_stays(world: Path) -> None:
    words = [sys.executable, "-m", "autotts", "mcp", "--env", "tiny.jsonl", "--archive", "a.db", "--run", "r", *SMALL]
    with subprocess.Popen(
        words, cwd=world, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("round 0"):
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 130
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert state(world) == "interrupted"


def test_bad_input_is_one_sentence_before_anything_is_served(world: Path) -> None:
    def refused(*args: str) -> str:
        words = [sys.executable, "-m", "autotts", "mcp", "--archive", "a.db", *args]
        done = subprocess.run(words, cwd=world, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    autotts("search", "--env", "tiny.jsonl", "--rounds", "0", "--archive", "a.db", "--run", "e", *SMALL, cwd=world)
    assert "autotts resume e" in refused("--run", "e")
    assert "nowhere.json" in refused("--env", "nowhere.json")
    assert "--screen-seeds 3" in refused("--env", "tiny.jsonl", "--seeds", "2", "--screen-seeds", "3")
    assert "no '-' in front" in refused("--run=-r")
    with Archive(str(world / "a.db")) as archive:
        start(archive, world)
    assert "other settings" in refused("--run", "r", "--seeds", "4")


def test_without_the_package_it_says_what_to_install(world: Path) -> None:
    code = "import sys; sys.modules['mcp'] = None; from autotts.cli import main; main(['mcp'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=world, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "pip install 'autotts[mcp]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (world / "autotts.db").exists()


# ---- without the protocol ------------------------------------------------------------------------------------------


def start(archive: Archive, world: Path) -> str:
    given = {**GIVEN, "envs": (str(world / "tiny.jsonl"),)}
    return start_guest_run(archive, "r", given, (), lambda _: [small_environment()])


@contextmanager
def served(world: Path, budget: Budget | None = None) -> Iterator[Served]:
    with (
        Archive(str(world / "a.db")) as archive,
        open_run(archive, start(archive, world), 1, budget, [Guest()]) as search,
    ):
        yield Served(search)


def test_drafts_outlive_a_restart_and_are_counted_on(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def measure(_: Bench, program: Program) -> Draft:
        measured.append(program.source)
        return Draft(f"measured {len(measured)}\n", 0.01 * len(measured), 0.01)

    monkeypatch.setattr(Bench, "measure", measure)
    with served(world) as one:
        assert one.call("evaluate_draft", {"source": HEALTHY}).startswith("draft-1 (11 measurements left)\nmeasured 1")
        assert one.call("evaluate_draft", {"base": "draft-1", "edits": EDITS}).startswith("draft-2 (10")
    with served(world) as two:  # killed: nothing was closed
        assert "five branches" in two.call("read_program", {"program": "draft-2"})
        for left in range(9, -1, -1):
            assert f"({left} measurements left)" in two.call("evaluate_draft", {"source": OTHER})
        with pytest.raises(ToolFailure, match="all 12 measurements"):
            two.call("evaluate_draft", {"source": OTHER})
        assert two.call("submit", {"draft": "draft-2"}).startswith("1.0 ")
        assert "(11 measurements left)" in two.call("evaluate_draft", {"source": OTHER})
        assert two.search.archive.spent("r") == (0, 0.0, 0)
    assert len(measured) == 13


def test_what_autotts_could_not_evaluate_is_evaluated_with_the_next_call(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(world) as desk:
        desk.prepare()

        def broken(*_: object, **__: object) -> None:
            raise SandboxError("the fork server is gone")

        with monkeypatch.context() as patch:
            patch.setattr(desk.search.evaluator, "play", broken)
            with pytest.raises(ToolFailure, match="gone\nThe program is kept"):
                desk.call("submit", {"source": HEALTHY})
            with pytest.raises(SandboxError):
                desk.call("history", {})
        assert "1.0 " in desk.call("history", {})
        assert desk.call("submit", {"source": OTHER}).startswith("2.0 ")
        assert desk.close() == "interrupted"


def test_time_is_a_limit_too(world: Path) -> None:
    with served(world, Budget(time=0.0)) as desk:
        assert "0.4" in desk.call("history", {})
        with pytest.raises(LimitReached, match="--max-time"):
            desk.call("submit", {"source": HEALTHY})
        assert desk.close() == "limit"


def test_a_run_is_served_once(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(tempfile, "tempdir", str(world))
    place = str(world / "a.db")
    twice = pytest.raises(InputError, match="another process is at this run")
    with alone(place, "r"), alone(place, "s"), twice, alone(place, "r"):
        pass
    with alone(place, "r"):
        pass
    before = set(Path(tempfile.gettempdir()).glob("autotts-*.lock"))
    with alone(place, "t"):
        (made,) = set(Path(tempfile.gettempdir()).glob("autotts-*.lock")) - before
    assert not made.exists()


def test_what_is_not_said_is_the_run_s_own() -> None:
    fresh = guest_config(None, {"seeds": 1, "betas": None})
    assert (fresh.agents, fresh.proposals_per_round, fresh.seeds, fresh.screen_seeds) == (("mcp",), 1, 1, 1)
    assert guest_config(fresh, {"seeds": None}) == fresh
    with pytest.raises(InputError, match="--screen-seeds 2"):
        guest_config(fresh, {"screen_seeds": 2})


def test_nobody_can_be_asked_under_that_name() -> None:
    with pytest.raises(InputError, match="autotts mcp --run NAME"):
        make_agent("mcp")
