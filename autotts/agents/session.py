"""The session mode: a tool-use loop in which the agent investigates, drafts, measures and submits, within limits."""

from __future__ import annotations

from autotts.agents._base import Context, Proposal
from autotts.agents.answers import read_program
from autotts.agents.briefing import best_of, plateaued, reference_of, shown, tried
from autotts.agents.calling import Caller
from autotts.agents.models import Reply, Request, ToolResult, Turn
from autotts.agents.tools import Toolbox, ToolFailure
from autotts.errors import AgentError, LimitReached, NotSubmitted, Refused
from autotts.prompts import Prompt, Prompts

__all__ = ["propose_in_session"]

NUDGES = 2
"""Turns without a tool call or a program after which a session is over."""

MOST_CALLS = 32
"""Calls of one reply that are done."""


class _Session:
    """One session as it goes on."""

    def __init__(self, caller: Caller, prompts: Prompts, context: Context, turns: int, max_tokens: int) -> None:
        assert context.bench is not None
        self.caller, self.prompts, self.context = caller, prompts, context
        self.most_turns, self.max_tokens = turns, max_tokens
        self.box = Toolbox(context, context.bench)
        self.system = prompts.system()
        self.turns: list[Turn] = []
        self.first = self._start()
        self.said = [self.system, self.first]  # what was rendered for the next call
        self.nudges = 0
        self.last = ""

    def _start(self) -> Prompt:
        context, prompts = self.context, self.prompts
        reference, history = shown(reference_of(context)), tried(context.candidates)
        tools = [(tool.name, tool.description) for tool in self.box.tools()]
        # On a plateau every other session starts from nothing that is there.
        afresh = plateaued(context) and context.number % 2 == 0
        best = [] if afresh else [shown(c) for c in best_of(context, 4)]
        seconds = round(self.caller.seconds_left)
        left = self.most_turns, self.caller.tokens_left, seconds
        return prompts.session(reference, best, history, tools, *left, afresh)

    def run(self) -> Proposal:
        """Until something is submitted, or a limit is reached."""
        self.turns = [Turn(self.first.text)]
        new, why = f"{self.system.text}\n{self.first.text}", "its turns were used"
        for turn in range(self.most_turns):
            try:
                reply = self._ask(new)
            except LimitReached:
                if not self.box.drafts:
                    raise
                why = "the run's budget was used"
                break
            except AgentError as error:
                if not self.box.drafts:
                    raise
                why = str(error)
                break
            self.last = reply.text or self.last
            self.turns[-1] = Turn(self.turns[-1].text, self.turns[-1].results, reply)
            ended = self._answer(reply, self.most_turns - turn - 1)
            if self.box.submitted is not None:
                return self._proposal(self.box.submitted, "")
            if ended:
                why = ended
                break
            new = self.turns[-1].text or "\n".join(result.text for result in self.turns[-1].results)
        best = self.box.best_draft()
        if best is None:
            raise NotSubmitted(f"no program was submitted, and none measured: {why}")
        return self._proposal(best, f"(not submitted: {why}; the best measured draft was taken)\n")

    def _ask(self, new: str) -> Reply:
        request = Request(self.system.text, tuple(self.turns), self.box.tools(), self.max_tokens)
        reply = self.caller.ask(request, new, {prompt.name: prompt.hash for prompt in self.said})
        if reply.stop == "refusal":
            raise Refused(f"the model declined: {reply.text.strip()[:200] or 'it gave no reason'}")
        return reply

    def _answer(self, reply: Reply, turns_left: int) -> str:
        """Do what the reply wants and add the next turn; why the session is over, "" while it goes on."""
        left = self.prompts.left(turns_left, self.caller.tokens_left, round(self.caller.seconds_left))
        self.said = [left]
        if reply.calls:
            results = []
            for number, call in enumerate(reply.calls):
                if why := self._refused(number):
                    results.append(ToolResult(call.id, why, True))
                    continue
                try:
                    results.append(ToolResult(call.id, self.box.call(call.name, call.arguments)))
                except ToolFailure as error:
                    results.append(ToolResult(call.id, str(error), True))
            results[-1] = ToolResult(results[-1].id, f"{results[-1].text.rstrip()}\n{left.text}", results[-1].failed)
            self.turns.append(Turn(results=tuple(results)))
            return ""
        # A program in the text stands for a submission: small models forget the tool.
        try:
            self.box.call("submit", {"source": read_program(reply)})
            return ""
        except (AgentError, ToolFailure) as error:
            self.nudges += 1
            if self.nudges > NUDGES:
                return f"it called no tool in {self.nudges} turns ({error})"
            nudge = self.prompts.nudge()
            self.said = [nudge, left]
            self.turns.append(Turn(f"{error}\n\n{nudge.text}\n{left.text}"))
            return ""

    def _refused(self, number: int) -> str:
        """Why this call of a reply is not done, "" where it is: one reply must not keep the search busy for ever."""
        if self.box.submitted is not None:
            return "a program was submitted already"
        if number >= MOST_CALLS:
            return f"not done: at most {MOST_CALLS} calls at a time"
        return "" if self.caller.seconds_left > 0 else "not done: the proposal's time is over"

    def _proposal(self, source: str, note: str) -> Proposal:
        return Proposal(source, self.box.parents, f"{note}{self.last}", self.first.text)


def propose_in_session(caller: Caller, prompts: Prompts, context: Context, turns: int, max_tokens: int) -> Proposal:
    """A program from a session.

    Args:
        caller, prompts, context: whom to ask, by which words, about what.
        turns: answers of the model that it may have.
        max_tokens: of one answer.

    Raises:
        AgentError: the session ended without a program.
        LimitReached: the run's budget was used before a draft was measured.
    """
    return _Session(caller, prompts, context, turns, max_tokens).run()
