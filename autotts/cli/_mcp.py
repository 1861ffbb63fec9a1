"""`autotts mcp` on the wire: the protocol in a thread of its own, the search in the main thread.

So a long evaluation keeps no ping waiting, calls are done one after another, and the search is stopped as Ctrl-C stops
any search. Standard output belongs to the protocol; everything for people goes to standard error.
"""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import anyio
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from autotts.errors import AutoTTSError
from autotts.sandbox.text import printable
from autotts.search import Event, SlotStarted
from autotts.search.serving import WRITING, Served, rules, start_text

__all__ = ["Desk"]

RULES = "autotts://rules"
RULES_TEXT = "What a controller is, what it may do and how it is judged. Read this first."
BEAT = 2.0
"""Seconds between two signs of life during a long call, for clients that ask for progress."""

Context = ServerRequestContext[Any, Any]


@dataclass
class _Job:
    """A call that waits for the main thread, or is under way there."""

    name: str
    arguments: Mapping[str, Any]
    answer: Future[tuple[str, bool]] = field(default_factory=Future)

    def do(self, served: Served) -> None:
        """Answer it: text, and whether the call failed; one that the client has given up is not begun."""
        if not self.answer.set_running_or_notify_cancel():
            return
        try:
            self.answer.set_result((served.call(self.name, self.arguments), False))
        except AutoTTSError as error:
            self.answer.set_result((printable(str(error), newlines=True), True))
        except Exception as error:
            traceback.print_exc()
            text = f"{self.name}: AutoTTS itself failed ({type(error).__name__}); its standard error says where"
            self.answer.set_result((text, True))


class Desk:
    """Between the protocol's thread and the main thread.

    Args:
        run: its name.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._stage = "the baselines are run first"
        self._left = self._busy = self._closing = False
        self._main = threading.main_thread()
        self._talk = threading.Thread(target=self._speak, name="autotts-mcp", daemon=True)

    # ---- the main thread ---------------------------------------------------------------------------------------

    def serve(self, served: Served) -> int:
        """Until the client leaves; the exit code."""
        code = 0

        def stop(*_: Any) -> None:
            if self._closing:
                return
            served.stop()
            if self._busy or not self._left:
                raise KeyboardInterrupt

        # For good: the process ends with this, and a second signal must not keep it from closing what it has open.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        try:
            self._talk.start()
            self._busy = True
            self._prepare(served)
            self._busy = False
            while (job := self._jobs.get()) is not None:
                self._busy = True
                job.do(served)
                self._busy = False
        except KeyboardInterrupt:
            code = 0 if self._left else 130
        except Exception:
            traceback.print_exc()
            code = 1
        self._closing = True
        try:
            state = served.close()
        except AutoTTSError as error:
            state, code = f"its end is not written down ({error})", 1
        print(f"run {self.run}: {state}", file=sys.stderr, flush=True)
        return code

    def hear(self, event: Event) -> None:
        """Take an event of the search: what a waiting client is told."""
        if isinstance(event, SlotStarted):
            what = "baselines" if event.round == 0 else "evaluation"
            self._stage = f"{what}: {event.round}.{event.slot} {event.program} {event.stage}"

    def leave(self, code: int) -> int:
        """The exit code; where the client still holds standard input open, the process ends here.

        Python would wait for the thread that reads from it, for as long as the client lives.
        """
        self._talk.join(timeout=0 if code else 1.0)
        if self._talk.is_alive():
            sys.stderr.flush()
            os._exit(code)
        return code

    @staticmethod
    def _prepare(served: Served) -> None:
        """What does not work now is tried again by the first call, whose result then says why."""
        try:
            served.prepare()
        except AutoTTSError as error:
            print(f"error: {printable(str(error))}", file=sys.stderr, flush=True)

    # ---- the protocol's thread ---------------------------------------------------------------------------------

    def _speak(self) -> None:
        try:
            anyio.run(self._session)
        except Exception:
            traceback.print_exc()
        finally:
            self._left = True
            self._jobs.put(None)
            assert self._main.ident is not None
            signal.pthread_kill(self._main.ident, signal.SIGINT)  # ends what is under way; see `stop`

    async def _session(self) -> None:
        server: Server[Any] = Server(
            "autotts",
            version=version("autotts"),
            instructions=start_text(self.run),
            on_list_tools=_list_tools,
            on_call_tool=self._call_tool,
            on_list_prompts=_list_prompts,
            on_get_prompt=_get_prompt,
            on_list_resources=_list_resources,
            on_read_resource=_read_resource,
        )
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        if params.name == "rules":
            return _result(rules(), False)
        job = _Job(params.name, params.arguments or {})
        self._jobs.put(job)
        answer = asyncio.wrap_future(job.answer)
        beats = 0
        try:
            while not (await asyncio.wait({answer}, timeout=BEAT))[0]:
                beats += 1
                await context.session.report_progress(beats, message=self._stage)
        finally:
            answer.cancel()  # by the client: what has not begun never will
        return _result(*answer.result())


def _result(text: str, failed: bool) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=failed)


async def _list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    empty = {"type": "object", "properties": {}, "additionalProperties": False}
    listed = [("rules", RULES_TEXT, empty), *((t.name, t.description, dict(t.schema)) for t in Served.tools())]
    tools = []
    for name, text, schema in listed:
        hints = types.ToolAnnotations(read_only_hint=name not in WRITING, destructive_hint=False, open_world_hint=False)
        tools.append(types.Tool(name=name, description=text, input_schema=schema, annotations=hints))
    return types.ListToolsResult(tools=tools)


async def _list_prompts(_: Context, __: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=[types.Prompt(name="rules", description=RULES_TEXT)])


async def _get_prompt(_: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    if params.name != "rules":
        raise MCPError(types.INVALID_PARAMS, f"{params.name}: no such prompt; there is `rules`")
    text = types.TextContent(type="text", text=rules())
    return types.GetPromptResult(description=RULES_TEXT, messages=[types.PromptMessage(role="user", content=text)])


async def _list_resources(_: Context, __: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
    found = types.Resource(uri=RULES, name="rules", description=RULES_TEXT, mime_type="text/markdown")
    return types.ListResourcesResult(resources=[found])


async def _read_resource(_: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    if str(params.uri) != RULES:
        raise MCPError(types.INVALID_PARAMS, f"{params.uri}: no such resource; there is {RULES}")
    text = types.TextResourceContents(uri=RULES, mime_type="text/markdown", text=rules())
    return types.ReadResourceResult(contents=[text])
