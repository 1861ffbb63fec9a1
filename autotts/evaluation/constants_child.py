"""What finds the literals of a program's `schedule`, in the jail: a parser is nothing for the host."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from itertools import accumulate

from autotts.evaluation.wire import LITERAL, MAX_LITERALS
from autotts.sandbox import Channel
from autotts.sandbox.parsing import in_words

__all__ = ["main"]


def main(channel: Channel) -> None:
    """A source comes in, a JSON list of [start, end] goes out: where literals greater than 0 stand."""
    source = channel.recv().decode()
    channel.send(json.dumps(_places(source)).encode())


def _places(source: str) -> list[tuple[int, int]]:
    lines = source.split("\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]

    def place(line: int, column: int) -> int:
        """Characters before a place that the parser gives in bytes of a line."""
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    with in_words(source):
        tree = ast.parse(source)
    found = []
    for node in _numbers(tree):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)
        if LITERAL.fullmatch(source, start, end) and 0 < float(source[start:end]) < float("inf"):
            found.append((start, end))
    return sorted(found)[:MAX_LITERALS]


def _numbers(tree: ast.Module) -> Iterator[ast.Constant]:
    """Numbers that the schedule computes with: not places in a list, and not how many digits are kept."""
    schedules = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "schedule"]
    left: list[ast.AST] = [*schedules[-1].body] if schedules else []
    while left:
        node = left.pop()
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield node
        elif isinstance(node, ast.Subscript):
            left.append(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "round":
            left += node.args[:1]
        elif not isinstance(node, ast.JoinedStr):
            left += ast.iter_child_nodes(node)
