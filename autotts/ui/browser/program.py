"""One program: source, credit, difference, schedule, curves, lineage, proposal, records."""

from __future__ import annotations

from autotts.ui.browser.view import View

__all__ = ["ProgramView"]


class ProgramView(View):
    """One program of a run.

    Args:
        hash: of the program.
        tab: which page is shown first, "" for the source.
    """

    place = "Programs"

    def __init__(self, hash: str, tab: str = "") -> None:
        super().__init__()
        self.hash = hash
        self.tab = tab

    def where(self) -> str:
        """Its id."""
        return self.hash[:10]
