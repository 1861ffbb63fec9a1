"""Two programs side by side."""

from __future__ import annotations

from autotts.ui.browser.view import View

__all__ = ["CompareView"]


class CompareView(View):
    """Two programs side by side."""

    place = "Compare"
