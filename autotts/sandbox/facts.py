"""What a program defines, found before the policy judges it."""

from __future__ import annotations

import ast

from autotts.sandbox.rules import PUBLIC_UNDERSCORE

__all__ = ["Facts"]


class Facts:
    """Names of a program.

    Attributes:
        names: bound anywhere, as variables, functions, parameters, classes or imports.
        classes: of its classes.
        attributes: that objects of its classes may have.
        keywords: that a call of its functions and classes may use.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.names: set[str] = set()
        self.classes: set[str] = set()
        self.attributes: set[str] = set(PUBLIC_UNDERSCORE)
        self.keywords: set[str] = set()
        for node in ast.walk(tree):
            self._look(node)

    def _look(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            self.names.add(node.id)
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            self.attributes.add(node.attr)
        elif isinstance(node, ast.arg):
            self.names.add(node.arg)
            self.keywords.add(node.arg)
        elif isinstance(node, ast.FunctionDef):
            self.names.add(node.name)
        elif isinstance(node, ast.alias):
            self.names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            self.names.add(node.name or "")
        elif isinstance(node, ast.ClassDef):
            self.names.add(node.name)
            self.classes.add(node.name)
            for part in node.body:
                self._look_into_class(part)

    def _look_into_class(self, part: ast.stmt) -> None:
        if isinstance(part, ast.FunctionDef):
            self.attributes.add(part.name)
        targets = (
            part.targets if isinstance(part, ast.Assign) else [part.target] if isinstance(part, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name):
                self.attributes.add(target.id)
                self.keywords.add(target.id)
                if target.id == "__slots__" and isinstance(part, ast.Assign):
                    self.attributes |= {c.value for c in ast.walk(part.value) if _is_text(c)}  # type: ignore[attr-defined]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
