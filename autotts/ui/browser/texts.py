"""Pages of one program that are texts: the difference from a parent, the proposal, the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Collapsible, Static

from autotts.archive import Call, Program, Proposal, StoredEvaluation
from autotts.sandbox.text import printable
from autotts.ui.browser.code import unified
from autotts.ui.browser.facts import Facts
from autotts.ui.browser.pages import Page
from autotts.ui.browser.view import Exported, Value, plain
from autotts.ui.conversation import call_head, call_reply, call_tail
from autotts.ui.report import times

__all__ = ["DiffPage", "ProposalPage", "RecordsPage"]

SHORT = 10
"""Digits of a hash that are shown, as many as an id has."""

LONG = 100_000
"""Characters of a text that are shown."""


class DiffPage(Page):
    """What was changed in a parent."""

    place = "diff"

    DEFAULT_CSS = """
    DiffPage > #from { height: auto; padding: 0 1; text-style: bold; }
    DiffPage VerticalScroll { overflow-x: auto; }
    DiffPage VerticalScroll > Static { width: auto; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: Facts | None = None
        self._nth = 0

    def compose(self) -> ComposeResult:
        """From what to what, and the lines."""
        yield Static(id="from")
        with VerticalScroll():
            yield Static(id="diff-text")

    def show(self, found: Facts) -> None:
        """Show the difference from a parent; it is found in a thread."""
        self._found = found
        parents, own = found.parents, found.source
        self.query_one("#from", Static).display = bool(parents)
        if not parents:
            instead = "; c compares it with the reference" if found.program else ""
            self.query_one("#diff-text", Static).update(f"it was made from no program of this archive{instead}")
            return
        parent = parents[self._nth % len(parents)]
        dark = self.app.current_theme.dark
        self.view.find(lambda: unified(parent.source, own, dark), self._has_compared, "comparing", group="diff")
        self.query_one("#from", Static).update(self._from(found, parent))

    def _from(self, found: Facts, parent: Program) -> Text:
        name = found.names.get(parent.hash, parent.id)
        many = len(found.parents)
        which = f" · parent {self._nth % many + 1} of {many}" if many > 1 else ""
        return plain(f"− {name}   + {found.program.id if found.program else 'the answer'}{which}")

    def _has_compared(self, lines: Sequence[Text]) -> None:
        self.query_one("#diff-text", Static).update(Text("\n").join(lines or [Text("the sources are the same")]))

    @property
    def turns(self) -> bool:
        """There are several parents."""
        return self._found is not None and len(self._found.parents) > 1

    def turn(self) -> None:
        """The next parent."""
        if self._found is not None:
            self._nth += 1
            self.query_one(VerticalScroll).scroll_home(animate=False)
            self.show(self._found)


class ProposalPage(Page):
    """What the agent was told, what it answered, which tools it called, what that took, and what became of it."""

    place = "proposal"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "text(1)", "Next text", show=False),
        Binding("p", "text(-1)", "Previous text", show=False),
    ]

    DEFAULT_CSS = """
    ProposalPage #facts { padding: 0 1; margin-bottom: 1; }
    ProposalPage Collapsible { border: none; padding: 0; background: $background; }
    ProposalPage Collapsible:focus-within { background-tint: $background 0%; }
    ProposalPage CollapsibleTitle { padding: 0 1; width: 1fr; }
    ProposalPage Contents { padding: 0 1 1 3; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: Facts | None = None
        self._texts: list[tuple[str, str, bool]] = []

    def compose(self) -> ComposeResult:
        """The facts, then texts that can be opened."""
        with VerticalScroll():
            yield Static(id="facts")

    def show(self, found: Facts) -> None:
        """Show a proposal; texts that were opened stay open."""
        self._found = found
        self.query_one("#facts", Static).update(_proposal(found))
        texts = _texts(found)
        if texts == self._texts:
            return
        known = len(self._texts) if texts[: len(self._texts)] == self._texts else 0
        if not known:
            self.query(Collapsible).remove()
        self._texts = texts
        self.query_one(VerticalScroll).mount_all(_box(*one) for one in texts[known:])

    @property
    def turns(self) -> bool:
        """There are texts."""
        return bool(self._texts)

    def turn(self) -> None:
        """Open every text, or close them all."""
        boxes = list(self.query(Collapsible))
        closed = any(box.collapsed for box in boxes)
        for box in boxes:
            box.collapsed = not closed

    def action_text(self, by: int) -> None:
        """Go to the next text."""
        titles = list(self.query("CollapsibleTitle"))
        if titles:
            at = titles.index(self.screen.focused) if self.screen.focused in titles else -1 if by > 0 else len(titles)
            titles[max(0, min(len(titles) - 1, at + by))].focus()

    def exported(self) -> Exported | None:
        """A row a call of a model; where none was asked, what the proposal keeps."""
        found = self._found
        if found is None or found.proposal is None:
            return None
        own = found.proposal
        names = ("call", "agent", "outcome", "tokens", "cost", "seconds", "told", "answered")
        rows: list[Sequence[Value]] = [
            (c.number, c.agent, c.outcome, c.tokens, c.cost, c.seconds, c.prompt, call_reply(c)) for c in found.calls
        ]
        if not rows:
            tokens = sum(own.usage.values())
            outcome = own.verdict.outcome if own.verdict else None
            rows = [(None, own.agent, outcome, tokens, own.cost, None, own.prompt, own.answer)]
        return Exported("calls", names, rows)


def _proposal(found: Facts) -> Text:
    """Who proposed it, from what, what it took, and what became of it."""
    own = found.proposal
    if own is None:
        return Text("no search proposed it: a person added it")
    text = Text().append_text(plain(f"{own.run} {own.round}.{own.slot} by {own.agent}", "bold"))
    parents = ", ".join(found.names.get(parent, parent[:10]) for parent in own.parents) or "none"
    text.append_text(plain(f"\nparents  {parents}\ntokens   {_used(own)}\ncost     {_dollars(own.cost)}"))
    if found.calls:
        text.append(f", {len(found.calls)} call{'' if len(found.calls) == 1 else 's'} of a model")
    verdict = own.verdict
    if verdict is None:
        return text.append("\nbecame   nothing yet: it is not decided")
    line = f" in line {verdict.line}" if verdict.line else ""
    where = f" ({verdict.where})" if verdict.where else ""
    message = f": {verdict.message}" if verdict.message else ""
    return text.append_text(plain(f"\nbecame   {verdict.outcome}{line}{where}{message}"))


def _used(own: Proposal) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in own.usage.items()) or "none"


def _dollars(cost: float | None) -> str:
    return "price unknown" if cost is None else f"${cost:.4f}"


def _texts(found: Facts) -> list[tuple[str, str, bool]]:
    """(Title, text, whether it is open at first)."""
    own = found.proposal
    if found.calls:
        return [part for call in found.calls for part in _call_texts(call)]
    if own is None:
        return []
    asked = [(f"asked, {len(own.prompt):,} characters", own.prompt, False)] if own.prompt else []
    return asked + ([("answered", own.answer, True)] if own.answer else [])


def _call_texts(call: Call) -> list[tuple[str, str, bool]]:
    told = f"{call_head(call)}: told {len(call.prompt):,} characters"
    return [(told, call.prompt, False), (f"answered: {call_tail(call)}", call_reply(call), True)]


def _box(title: str, body: str, opened: bool) -> Collapsible:
    """A text under its title; what strangers wrote is no markup."""
    return Collapsible(
        Static(_cut(body)),
        title=cast(str, Content(printable(title))),  # of a `str` it would read the markup
        collapsed=not opened,
        collapsed_symbol="▶",
        expanded_symbol="▼",
    )


def _cut(text: str) -> Text:
    """A text as it is, but for its end where it is very long."""
    shown = plain(text[:LONG].rstrip("\n"))
    return shown.append(f"\n… {len(text) - LONG:,} characters more: export the page") if len(text) > LONG else shown


class RecordsPage(Page):
    """Isolation, evaluations, held-out looks."""

    place = "records"

    DEFAULT_CSS = "RecordsPage VerticalScroll > Static { padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._found: Facts | None = None

    def compose(self) -> ComposeResult:
        """A text."""
        with VerticalScroll():
            yield Static(id="records-text")

    def show(self, found: Facts) -> None:
        """Show the records."""
        self._found = found
        self.query_one(Static).update(_records(found))

    def exported(self) -> Exported | None:
        """A row an evaluation."""
        found = self._found
        if found is None:
            return None
        names = ("source", "environment", "hash", "protocol", "betas", "seeds", "actions", "isolation")
        rows = [
            (e.source, found.environments.get(e.environment), e.environment, e.protocol, e.betas, e.seeds, e.actions,
             e.isolation)
            for e in found.evaluations
        ]  # fmt: skip
        return Exported("records", names, rows)


def _records(found: Facts) -> Text:
    text = Text()
    if found.program is not None:
        own = found.program
        body = f"sha256   {own.hash}\nkind     {own.kind}{f' {own.class_name}' if own.class_name else ''}"
        _titled(text, "program", body)
    verdict = found.proposal.verdict if found.proposal else None
    if verdict is not None:
        how_far = {"confirm": "confirmed", "screen": "screened only"}.get(verdict.stage, "not evaluated")
        _titled(
            text, "how far it came", f"{verdict.outcome}, {how_far}, isolation {verdict.isolation or 'none: not run'}"
        )
    _titled(text, "evaluations", "\n".join(_evaluation(found, one) for one in found.evaluations) or "none")
    _titled(text, "held out", "" if found.ledger else "never scored: autotts score")
    for entry in found.ledger:
        looked = times(found.looks[entry.environment])
        _titled(text, f"{entry.environment_name}: look {entry.number}; looked at {looked} in this archive", "", 0)
        for row in entry.rows:
            text.append(
                f"  β {row.beta:<5g} {100 * row.accuracy:6.2f} %  {row.tokens:>10,.0f} tokens  "
                f"{row.sequential_tokens:>9,.0f} sequential\n"
            )
    return text


def _evaluation(found: Facts, one: StoredEvaluation) -> str:
    """Two lines: of what, and the hashes that prove it."""
    name = found.environments.get(one.environment, "an environment of another run")
    actions = f", actions {one.actions[:SHORT]}" if one.actions else ""
    return (
        f"{one.source:<8} {name}: {one.betas} β × {one.seeds} seeds, isolation {one.isolation or '–'}\n"
        f"         environment {one.environment[:SHORT]}, protocol {one.protocol[:SHORT]}{actions}"
    )


def _titled(text: Text, title: str, body: str, gap: int = 1) -> None:
    text.append("\n" * gap if text else "").append_text(plain(title, "bold")).append("\n")
    if body:
        text.append_text(plain(body.rstrip("\n"))).append("\n")
