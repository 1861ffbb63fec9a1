"""Calls of models as a person reads them: what was told, what came back, which tools were called with what."""

from __future__ import annotations

import json
from typing import Any

from autotts.archive import Call
from autotts.sandbox.text import printable

__all__ = ["call_head", "call_reply", "call_tail"]


def call_head(call: Call) -> str:
    """Who was asked, with which templates."""
    templates = ", ".join(f"{name} {digest[:12]}" for name, digest in call.templates.items())
    return printable(f"call {call.number} to {call.agent} ({templates or 'no template'})")


def call_tail(call: Call) -> str:
    """What became of it, and what it took."""
    cost = "price unknown" if call.cost is None else f"${call.cost:.4f}"
    return printable(f"{call.outcome or 'under way'}, {call.tokens:,} tokens, {cost}, {call.seconds:.1f} s")


def call_reply(call: Call) -> str:
    """What came back, "" for nothing: words, then the tools that were called; as it is where it has another form."""
    if not call.reply:
        return ""
    try:
        reply = json.loads(call.reply)
        told = "\n".join([reply["text"], *map(_wanted, reply["calls"])])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):  # an archive that somebody else wrote
        told = call.reply
    return printable(told, newlines=True)


def _wanted(call: dict[str, Any]) -> str:
    """A tool's call; arguments of several lines, such as programs, as they are."""
    short, long = {}, []
    for name, value in (call["arguments"] or {"malformed": call["written"]}).items():
        if isinstance(value, str) and "\n" in value:
            long.append(f"{name}:\n{value}")
        else:
            short[name] = value
    return "\n".join([f"→ {call['name']}({json.dumps(short, ensure_ascii=False) if short else ''})", *long])
