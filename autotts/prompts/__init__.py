"""Every word that a language model sees: Jinja templates, and a renderer that makes prompts of them."""

from autotts.prompts.records import Prompt, Shown, Tried
from autotts.prompts.renderer import Prompts

__all__ = ["Prompt", "Prompts", "Shown", "Tried"]
