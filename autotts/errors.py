"""One tree of exceptions: everything that AutoTTS raises on purpose is an `AutoTTSError`.

Each class knows the exit code with which the command line ends (docs/reference.md): 1 the program or job failed,
2 bad input, 3 a budget or limit was reached.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AGENT_OUTCOMES",
    "OUTCOMES",
    "AgentDown",
    "AgentError",
    "AgentFailed",
    "AgentTimeout",
    "AgentUnavailable",
    "AutoTTSError",
    "CpuLimit",
    "Crashed",
    "EmptyAnswer",
    "InadmissibleAction",
    "InputError",
    "InvalidSchedule",
    "LimitReached",
    "LookAhead",
    "MalformedAnswer",
    "MemoryLimit",
    "Nondeterministic",
    "NotSubmitted",
    "NothingBetter",
    "OutputLimit",
    "PolicyViolation",
    "ProgramError",
    "Refused",
    "SandboxError",
    "ServerError",
    "Truncated",
    "WallTimeout",
]


class AutoTTSError(Exception):
    """Base of every error that AutoTTS raises on purpose."""

    exit_code: ClassVar[int] = 1


class InputError(AutoTTSError):
    """Bad input: one sentence that says what, where and how to fix it."""

    exit_code = 2


class SandboxError(AutoTTSError):
    """The sandbox itself (not the program in it) could not do its work."""


class ServerError(AutoTTSError):
    """A model server gave no answer within the deadline, or broke off, whatever was tried; what was done is kept."""


class LimitReached(AutoTTSError):
    """A budget or limit was reached; what was done is kept, and a higher limit goes on from there."""

    exit_code = 3


class AgentDown(AutoTTSError):
    """An agent's server does not answer, so the run waits for a person; what was done is kept."""


class AgentError(AutoTTSError):
    """An agent gave no program: a typed outcome of its slot, which the next prompt hears of."""

    @property
    def outcome(self) -> str:
        """The typed outcome, the name of the class."""
        return type(self).__name__


class Refused(AgentError):
    """The model, or a filter before it, declined to answer."""


class Truncated(AgentError):
    """The answer was cut at its token limit before a program was whole."""


class EmptyAnswer(AgentError):
    """The answer was empty."""


class MalformedAnswer(AgentError):
    """The answer holds no program, or edits that do not fit."""


class NotSubmitted(AgentError):
    """The session came to one of its limits before a program was submitted."""


class NothingBetter(AgentError):
    """The agent looked for a better program and found none, or has nothing left to make better."""


class AgentTimeout(AgentError):
    """The agent did not end within its deadline."""


class AgentFailed(AgentError):
    """The agent itself failed: an error in its own code, or an answer that is no proposal."""


class AgentUnavailable(AgentError):
    """The agent's server gave no answer within the deadline, whatever was tried."""


class ProgramError(AutoTTSError):
    """A controller program ended in a typed outcome other than "ok".

    Attributes:
        outcome: the name that is stored and shown, the class's own name.
        message: the cause, in one sentence.
        line: 1-based line of the program where it happened, None where no line is known.
        where: the episode (β, environment, question, seed) in words, "" outside an episode.
        frames: the calls within the program that led there, innermost last: line and name of the function each.
        fingerprint: stands for the program (see `Work`) where it was compiled before this happened, "" elsewhere.
        machine: whether the machine may have been at fault (its load, want of memory): tried again before it stands.
    """

    machine = False

    def __init__(self, message: str, line: int | None = None, where: str = "") -> None:
        self.message = message
        self.line = line
        self.where = where
        self.frames: tuple[tuple[int, str], ...] = ()
        self.fingerprint = ""
        super().__init__(str(self))

    @property
    def outcome(self) -> str:
        """The typed outcome, the name of the class."""
        return type(self).__name__

    def __str__(self) -> str:
        place = f" at line {self.line}" if self.line is not None else ""
        episode = f" ({self.where})" if self.where else ""
        return f"{self.outcome}{place}: {self.message}{episode}"


class PolicyViolation(ProgramError):
    """The program says something that the policy does not allow, or does not compile."""


class InvalidSchedule(ProgramError):
    """`schedule(beta)` is missing, fails, or gives a knob that is not a finite number monotone in β."""


class InadmissibleAction(ProgramError):
    """An action that the MDP does not admit in this state; the whole wave was refused."""


class CpuLimit(ProgramError):
    """The program used more CPU time than its shard may."""

    machine = True


class WallTimeout(ProgramError):
    """The program did not end in time by the wall clock."""

    machine = True


class MemoryLimit(ProgramError):
    """The program asked for more memory than it may."""


class OutputLimit(ProgramError):
    """The program's process wrote more, or something other, than the result channel takes."""


class Crashed(ProgramError):
    """The program raised an exception, left, or its process died."""


class LookAhead(ProgramError):
    """The program acted differently when nothing unrevealed was within its reach."""


class Nondeterministic(ProgramError):
    """The program acted differently on the same episode although nothing had changed."""


AGENT_OUTCOMES: dict[str, type[AgentError]] = {
    cls.__name__: cls
    for cls in (
        Refused,
        Truncated,
        EmptyAnswer,
        MalformedAnswer,
        NotSubmitted,
        NothingBetter,
        AgentTimeout,
        AgentUnavailable,
        AgentFailed,
    )
}

OUTCOMES: dict[str, type[ProgramError]] = {
    cls.__name__: cls
    for cls in (
        PolicyViolation,
        InvalidSchedule,
        InadmissibleAction,
        CpuLimit,
        WallTimeout,
        MemoryLimit,
        OutputLimit,
        Crashed,
        LookAhead,
        Nondeterministic,
    )
}
