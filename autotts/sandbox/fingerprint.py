"""What stands for a program however it is laid out: the same for two that differ in comments, blanks or docstrings."""

from __future__ import annotations

import ast
import hashlib

__all__ = ["FINGERPRINT", "fingerprint"]

FINGERPRINT = 16
"""Bytes of a fingerprint."""

_BODIES = (ast.Module, ast.ClassDef, ast.FunctionDef)


def fingerprint(tree: ast.Module) -> bytes:
    """Of a checked syntax tree, which has no annotations any more: its nodes and values, without docstrings and places.

    `ast.dump` says the same in twice the time. Call it inside the jail, where the tree was made.
    """
    words: list[str] = []
    _walk(tree, words)
    return hashlib.blake2b("\0".join(words).encode("utf-8", "replace"), digest_size=FINGERPRINT).digest()


def _walk(node: ast.AST, words: list[str]) -> None:
    words.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            _walk(value, words)
        elif isinstance(value, list):
            words.append("[")
            skip = name == "body" and isinstance(node, _BODIES) and ast.get_docstring(node, clean=False) is not None
            for part in value[1:] if skip else value:
                if isinstance(part, ast.AST):
                    _walk(part, words)
                else:
                    words.append(repr(part))
            words.append("]")
        else:
            words.append(repr(value))
