"""The archive in the terminal: `autotts browse`."""

from autotts.ui.browser.app import Browser
from autotts.ui.browser.desk import Desk

__all__ = ["Browser", "Desk"]
