"""What a program did on each question, and one episode step by step."""

from __future__ import annotations

from autotts.ui.browser.view import View

__all__ = ["EpisodesView"]


class EpisodesView(View):
    """What a program did on each question, and one episode step by step."""

    place = "Episodes"
