"""One method a prompt: what goes in is cleaned and bounded here, what comes out is text and a hash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autotts.prompts import clean
from autotts.prompts.examples import rendered
from autotts.prompts.library import VARIABLES, Library
from autotts.prompts.records import Prompt, Shown, Tried

__all__ = ["Prompts"]

MOST_SHOWN, MOST_EVIDENCE, MOST_TOOLS, MOST_FRAMES = 8, 16, 64, 12
"""Programs, pieces of evidence (and files of it), tools, and frames in one prompt; frames are the innermost."""


class Prompts:
    """Every word that a language model sees.

    Templates in `folder` (`NAME.md.jinja`, or `NAME.md`) replace single shipped ones. They are checked here, and each
    prompt is rendered once with made-up inputs, so that a mistake shows before anything was paid.

    Args:
        folder: templates of one's own.

    Raises:
        InputError: a file of the folder is no template, cannot be read, or is broken: file, line and why.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._library = Library(folder)
        if any(map(self.is_own, self.names())):
            rendered(self)

    # ---- templates -------------------------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """The templates; `evidence` and `parts` are parts of others."""
        return tuple(VARIABLES)

    def source(self, name: str) -> str:
        """The text of a template; raises `InputError` where there is none of that name."""
        return self._library.source(name)

    def hash(self, name: str) -> str:
        """SHA-256 (hex) of a template's source; of one that includes others, of these too."""
        return self._library.hash(name)

    def included(self, name: str) -> list[str]:
        """The templates that one includes or imports, directly or not."""
        return self._library.included(name)

    def variables(self, name: str) -> tuple[str, ...]:
        """What a template can use."""
        self.source(name)
        return VARIABLES[name]

    def path(self, name: str) -> str:
        """Where a template was read from; of a shipped one, its path within the project."""
        self.source(name)
        return self._library.path(name)

    def is_own(self, name: str) -> bool:
        """Whether a template comes from the user's folder."""
        return self._library.is_own(name)

    def export(self, folder: Path, force: bool = False) -> list[Path]:
        """Write every template into a folder, to be changed; returns the files.

        Raises:
            InputError: one exists and `force` is not given, or the folder cannot be written.
        """
        return self._library.export(folder, force)

    def _prompt(self, name: str, **values: Any) -> Prompt:
        return Prompt(name, self._library.render(name, values), self._library.hash(name))

    # ---- for the model that a controller runs ----------------------------------------------------------------------

    def question(self, question: str) -> Prompt:
        """Puts a question to a model that follows instructions: what its user says."""
        return self._exact("question", question=question)

    def prompt(self, question: str) -> Prompt:
        """Puts a question to a model without a chat template: the whole text that it goes on from."""
        return self._exact("prompt", question=question)

    def probe(self, question: str, thinking: bool) -> Prompt:
        """Stops a branch and asks for its answer: the text that is put after what the branch has said so far.

        Args:
            question: what was asked.
            thinking: whether the branch is within a `<think>` that was not closed.
        """
        return self._exact("probe", question=question, thinking=thinking)

    def _exact(self, name: str, **values: Any) -> Prompt:
        return Prompt(name, self._library.exact(name, values), self._library.hash(name))

    # ---- prompts ---------------------------------------------------------------------------------------------------

    def system(self) -> Prompt:
        """The rules, once; the same over a whole run, so that a server can cache them."""
        return self._prompt("system")

    def propose(
        self, reference: Shown, best: Sequence[Shown], tried: Sequence[Tried], evidence: Mapping[str, str]
    ) -> Prompt:
        """Asks for a new controller.

        Args:
            reference: what gains are measured against.
            best: the programs to build on, best first.
            tried: proposals of the past, newest last.
            evidence: what instruments found, as text by the instrument's name. The template chooses: what it does not
                name is not looked up, so a mapping may compute on demand.
        """
        programs = [clean.shown(program) for program in best[:MOST_SHOWN]]
        return self._prompt("propose", best=programs, **_told(reference, tried, evidence))

    def edit(self, parent: Shown, reference: Shown, tried: Sequence[Tried], evidence: Mapping[str, str]) -> Prompt:
        """Asks for edits to one program."""
        return self._prompt("edit", parent=clean.shown(parent), **_told(reference, tried, evidence))

    def crossover(
        self, first: Shown, second: Shown, reference: Shown, tried: Sequence[Tried], evidence: Mapping[str, str]
    ) -> Prompt:
        """Asks for one program made of two."""
        parents = {"first": clean.shown(first), "second": clean.shown(second)}
        return self._prompt("crossover", **parents, **_told(reference, tried, evidence))

    def restart(self, reference: Shown, ideas: Sequence[Tried], evidence: Mapping[str, str]) -> Prompt:
        """Asks for something else altogether, after a plateau; of what was tried it has the lines, not the programs."""
        return self._prompt("restart", **_told(reference, ideas, evidence))

    def repair(
        self,
        source: str,
        outcome: str,
        message: str,
        line: int | None,
        where: str,
        frames: Sequence[tuple[int, str]],
    ) -> Prompt:
        """Asks for a rejected program to be mended.

        Args:
            source: the program, "" where the answer held none.
            outcome: the typed outcome that rejected it.
            message: the cause; without a program, what was wrong with the answer.
            line: 1-based line of the program where it failed.
            where: the episode in words.
            frames: (line, function) that led there, outermost first.
        """
        program = clean.text_of(source, clean.SOURCE)
        calls = [(number, clean.one_line(name, clean.NAME)) for number, name in frames[-MOST_FRAMES:]]
        return self._prompt(
            "repair",
            source=program,
            outcome=clean.one_line(outcome, clean.NAME),
            message=clean.one_line(message, clean.MESSAGE),
            line=line,
            where=clean.one_line(where, clean.IDEA),
            frames=calls,
            excerpt=clean.excerpt(clean.text_of(source, len(source)), line),
        )

    def session(
        self,
        reference: Shown,
        best: Sequence[Shown],
        tried: Sequence[Tried],
        tools: Sequence[tuple[str, str]],
        turns: int,
        tokens: int,
        seconds: int,
        plateau: bool = False,
    ) -> Prompt:
        """Begins a session with tools, by which a model reads programs and measures drafts.

        Args:
            reference: what gains are measured against.
            best: the programs to build on, best first; shown without their sources.
            tried: proposals of the past, newest last.
            tools: (name, description) of each.
            turns, tokens, seconds: what the session may use.
            plateau: whether to ask for something else altogether.
        """
        programs = [clean.shown(program, source=False) for program in best[:MOST_SHOWN]]
        named = [(clean.one_line(n, clean.NAME), clean.one_line(d, clean.TOOL)) for n, d in tools[:MOST_TOOLS]]
        left = {"turns": turns, "tokens": tokens, "seconds": seconds, "plateau": plateau}
        return self._prompt("session", best=programs, tools=named, **left, **_told(reference, tried, {}))

    def nudge(self) -> Prompt:
        """After a turn of a session that neither called a tool nor held a program."""
        return self._prompt("nudge")

    def left(self, turns: int, tokens: int, seconds: int) -> Prompt:
        """One line: what is left of a session."""
        return self._prompt("left", turns=turns, tokens=tokens, seconds=seconds)

    def workspace(
        self, reference: Shown, parent: Shown | None, tried: Sequence[Tried], evidence_files: Sequence[str]
    ) -> Prompt:
        """The task of a coding agent in a scratch folder; the rules (`system`) lie there as TASK.md.

        Args:
            reference: what gains are measured against.
            parent: the program that controller.py holds, None where it holds none.
            tried: proposals of the past, newest last.
            evidence_files: paths within the folder.
        """
        files = [clean.one_line(name, clean.NAME) for name in evidence_files[:MOST_EVIDENCE]]
        shown = None if parent is None else clean.shown(parent, source=False)
        return self._prompt("workspace", parent=shown, evidence_files=files, **_told(reference, tried, {}))


class _Cleaned(Mapping[str, str]):
    """Evidence as a template gets it, printable and bounded, looked up when it is asked for."""

    def __init__(self, evidence: Mapping[str, str]) -> None:
        self._evidence = evidence

    def __getitem__(self, name: str) -> str:
        return clean.text_of(self._evidence[name], clean.EVIDENCE)

    def __contains__(self, name: object) -> bool:
        return name in self._evidence

    def __iter__(self) -> Iterator[str]:
        return iter(self._evidence)

    def __len__(self) -> int:
        return len(self._evidence)


def _told(reference: Shown, tried: Sequence[Tried], evidence: Mapping[str, str]) -> dict[str, Any]:
    """What most prompts tell; `tried_before` counts the proposals that are left out."""
    return {
        "reference": clean.shown(reference),
        "tried": clean.tried_of(tried),
        "tried_before": max(0, len(tried) - clean.MOST_TRIED),
        "evidence": _Cleaned(evidence),
    }
