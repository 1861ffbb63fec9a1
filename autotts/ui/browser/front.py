"""Accuracy against tokens: the curves of all programs, and the front."""

from __future__ import annotations

from autotts.ui.browser.view import View

__all__ = ["FrontView"]


class FrontView(View):
    """Accuracy against tokens: the curves of all programs, and the front."""

    place = "Front"
