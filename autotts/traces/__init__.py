"""Evidence: why an episode went wrong or cost too much, which line of a program wins or loses, what states promise."""

from autotts.traces._table import Evidence

__all__ = ["Evidence"]
