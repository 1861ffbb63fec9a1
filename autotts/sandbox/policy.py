"""What a program may say: RestrictedPython's transformer, subclassed to validate while it emits native code.

The jail is the security; the policy gives early, readable feedback and blocks memory between episodes. Reads, calls,
iteration and subscripts stay native (the stock guards cost a factor of 2.4 to 4); stores to attributes go through
`_write_`, reads of `format` and `format_map` through `_format_`, of double-underscore methods through `_method_`.
Private names (one underscore) are renamed throughout, to names that nothing but the program's own objects can have: so
they too are read natively, and `episode._source` finds nothing. Annotations are dropped: they cost time, and can
execute. Whatever kind of node is not listed here or in the base class is refused.
"""

from __future__ import annotations
import __future__

import ast
from types import CodeType
from typing import Any, TypeVar

from RestrictedPython.transformer import RestrictingNodeTransformer

from autotts.errors import PolicyViolation
from autotts.sandbox.facts import Facts
from autotts.sandbox.fingerprint import fingerprint
from autotts.sandbox.parsing import MAX_SOURCE, in_words
from autotts.sandbox.rules import (
    ADVICE,
    CLASS_NAMES,
    FORBIDDEN_NAMES,
    METHODS,
    MODULE_NAMES,
    READABLE,
    forbidden_attribute,
    own_name,
)

__all__ = ["FILENAME", "MAX_SOURCE", "compile_program", "compile_with_fingerprint"]

FILENAME = "<program>"
"""The file name that programs are compiled under, by which their lines are found."""

_MARKERS = {"ClassVar": "_ClassVar_", "InitVar": "_InitVar_", "KW_ONLY": "_KW_ONLY_"}
"""Annotations that dataclasses act upon → the global that stands for them."""

_SCRIPT = ("__name__ == '__main__'", "'__main__' == __name__")

_Node = TypeVar("_Node", bound=ast.AST)


class _Policy(RestrictingNodeTransformer):
    """Validates; collects every finding, so that a program can be put right at one go."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self._facts = facts
        self._scopes = ["module"]
        self.findings: list[tuple[int, str]] = []

    def error(self, node: ast.AST, info: str) -> None:
        self.findings.append((getattr(node, "lineno", 0), info))

    def not_allowed(self, node: ast.AST) -> None:
        kind = type(node).__name__
        self.error(node, ADVICE.get(kind, f"the construct {kind} is not available; use plain Python"))

    def native(self, node: _Node) -> _Node:
        """Nothing to say about the node itself; its parts are visited."""
        return self.node_contents_visit(node)

    def _within(self, scope: str, node: _Node) -> _Node:
        self._scopes.append(scope)
        try:
            return self.native(node)
        finally:
            self._scopes.pop()

    # ---- names and attributes ----------------------------------------------------------------------------------

    def check_name(self, node: ast.AST, name: str | None, allow_magic_methods: bool = False) -> None:
        """Refuse names that reach what the program did not define."""
        if name is None or (allow_magic_methods and name in METHODS):
            return
        if not name.isascii():
            self.error(node, f"the name `{name}` is not plain ASCII; use the letters a to z")
        elif name.startswith("__") and name != "__":
            if not (name in MODULE_NAMES or (self._scopes[-1] == "class" and name in CLASS_NAMES)):
                self.error(node, f"the name `{name}` begins with two underscores; use one or none")
        elif len(name) > 2 and name[0] == name[-1] == "_":
            self.error(node, f"the name `{name}` begins and ends with an underscore; drop the one at the end")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Names: the forbidden built-ins with advice, unless the program defines that name itself."""
        if isinstance(node.ctx, ast.Load):
            if node.id in FORBIDDEN_NAMES and node.id not in self._facts.names:
                self.error(node, f"`{node.id}` is not available; {FORBIDDEN_NAMES[node.id]}")
            if node.id in READABLE:
                return node
        self.check_name(node, node.id)
        node.id = own_name(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Attributes: reads stay native but for `format`, stores go through `_write_`."""
        name, reading = node.attr, isinstance(node.ctx, ast.Load)
        reason = forbidden_attribute(name)
        if reason:
            self.error(node, reason)
        elif not name.isascii():
            self.error(node, f"the attribute `{name}` is not plain ASCII; use the letters a to z")
        elif name.startswith("__"):
            self._check_double(node, reading)
        elif name.startswith("_") and reading and name not in self._facts.attributes:
            self.error(node, f"`.{name}` is private to an object that this program did not make; use what is public")
        node = self.native(node)
        node.attr = own_name(name)
        if not reading:
            node.value = _call("_write_", node.value)
        elif name in METHODS:
            return _call("_method_", node.value, ast.copy_location(ast.Constant(name), node))
        elif name in ("format", "format_map"):
            return _call("_format_", node.value, ast.copy_location(ast.Constant(name), node))
        return node

    def _check_double(self, node: ast.Attribute, reading: bool) -> None:
        base = node.value
        on_super = isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super"
        on_own_class = isinstance(base, ast.Name) and base.id in self._facts.classes
        if reading and (node.attr in READABLE or (node.attr in METHODS and (on_super or on_own_class))):
            return
        instead = "use type(x)" if node.attr == "__class__" else "use the operation or the public name instead"
        self.error(node, f"`.{node.attr}` begins with two underscores; {instead}")

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        """Keyword arguments become attributes and keys in many a constructor."""
        if node.arg is not None and node.arg.startswith("__"):
            self.error(node, f"the keyword `{node.arg}` begins with two underscores; use one or none")
        elif node.arg in self._facts.keywords:
            node.arg = own_name(node.arg)
        return self.native(node)

    # ---- definitions -------------------------------------------------------------------------------------------

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Classes, without keywords, for a metaclass could do anything; but ABCMeta, which `ABC` brings as well."""
        self.check_name(node, node.name)
        node.name = own_name(node.name)
        abstract = [_is_abc_meta(keyword) for keyword in node.keywords]
        if not all(abstract):
            self.error(
                node,
                f"class {node.name}: no keywords but metaclass=ABCMeta are available; derive from ABC, or leave it out",
            )
        node = self._within("class", node)
        if abstract and all(abstract):
            # Whatever the program calls so: the real one has a name that no program can set.
            node.keywords[0].value = ast.copy_location(ast.Name("_ABCMeta_", ast.Load()), node.keywords[0].value)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Functions; in classes, the listed double-underscore methods too."""
        self.check_name(node, node.name, allow_magic_methods=self._scopes[-1] == "class")
        node.name = own_name(node.name)
        node.returns = None
        return self._within("function", node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """Lambdas."""
        return self._within("function", node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Parameters of every kind, positional-only ones included."""
        self.check_name(node, node.arg)
        node.arg = own_name(node.arg)
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Annotated assignments: only the fields of a class keep something like an annotation."""
        target, scope = node.target, self._scopes[-1]
        if scope == "class" and _names(target, "__slots__"):
            self.error(node, "`__slots__` cannot be annotated here; leave the annotation out")
        if scope == "class":
            node.annotation = _marker(node.annotation)
        elif scope == "function":
            node.annotation = ast.copy_location(ast.Constant(None), node.annotation)  # never evaluated there
        elif node.value is None:
            self.visit(target)
            return ast.copy_location(ast.Pass(), node)
        else:
            assign = ast.Assign(targets=[self.visit(target)], value=self.visit(node.value))
            return ast.copy_location(assign, node)
        node.target = self.visit(target)
        node.value = None if node.value is None else self.visit(node.value)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """Assignments; the names in `__slots__` are an interface to the class's making, so they have to be in sight."""
        if self._scopes[-1] != "class" or not any(_names(target, "__slots__") for target in node.targets):
            return self.native(node)
        self._check_slots(node)
        node.targets = [t if _names(t, "__slots__") else self.visit(t) for t in node.targets]
        return node

    def _check_slots(self, node: ast.Assign) -> None:
        parts = node.value.elts if isinstance(node.value, ast.Tuple | ast.List) else [node.value]
        for part in parts:
            if not (isinstance(part, ast.Constant) and isinstance(part.value, str)):
                self.error(node, "`__slots__` has to be names in quotes, in a tuple; write them out")
            elif part.value.startswith("__"):
                self.error(node, f"the slot `{part.value}` begins with two underscores; use one or none")
            else:
                part.value = own_name(part.value)

    # ---- statements that bind names ----------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> ast.AST:
        """Imports, which give facades."""
        self._check_imports(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Imports of names; those from __future__ are dropped, as what they change is not there."""
        if node.level:
            self.error(node, "relative imports are not available; a program is one file")
        if node.module == "__future__":
            for alias in node.names:
                if alias.name not in __future__.all_feature_names:
                    self.error(node, f"__future__ has no feature {alias.name}")
            return None
        self._check_imports(node)
        return node

    def _check_imports(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.error(node, "star imports are not available; name what you use")
            elif alias.name.startswith("_") or "._" in alias.name:
                self.error(node, f"`{alias.name}` is private; import what is public")
            self.check_name(node, alias.asname or alias.name.partition(".")[0])
            alias.asname = own_name(alias.asname) if alias.asname else None

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """Handlers bind the exception."""
        self.check_name(node, node.name)
        node.name = _bound(node.name)
        return self.native(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        """Globals of the program; fresh in every episode."""
        for name in node.names:
            self.check_name(node, name)
        node.names = [own_name(name) for name in node.names]
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        """Variables of the function around."""
        for name in node.names:
            self.check_name(node, name)
        node.names = [own_name(name) for name in node.names]
        return node

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        """Captures."""
        self.check_name(node, node.name)
        node.name = _bound(node.name)
        return self.native(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        """Captures of the rest of a sequence."""
        self.check_name(node, node.name)
        node.name = _bound(node.name)
        return self.native(node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        """Captures of the rest of a mapping."""
        self.check_name(node, node.rest)
        node.rest = _bound(node.rest)
        return self.native(node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """Loops of comprehensions."""
        if node.is_async:
            self.error(node.target, ADVICE["AsyncFor"])
        return self.native(node)

    def visit_TryStar(self, node: ast.AST) -> None:
        """Groups of exceptions."""
        self.not_allowed(node)

    def visit_TemplateStr(self, node: ast.AST) -> None:
        """Template strings."""
        self.not_allowed(node)


for _kind in (
    "Module Expr AugAssign Delete For While If With withitem Try Raise Assert Pass Break Continue Return",
    "Yield YieldFrom Call Subscript Slice Starred Tuple List Dict Set ListComp SetComp DictComp GeneratorExp IfExp",
    "BoolOp BinOp UnaryOp Compare NamedExpr JoinedStr FormattedValue Constant arguments",
    "Match match_case MatchValue MatchSingleton MatchSequence MatchOr",
):
    for _name in _kind.split():
        # The base class rewrites some of these into guarded calls; here Python itself does them.
        setattr(_Policy, f"visit_{_name}", _Policy.native)


def _bound(name: str | None) -> str | None:
    return None if name is None else own_name(name)


def _names(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def _call(function: str, *arguments: ast.expr) -> ast.Call:
    at = arguments[0]
    name = ast.copy_location(ast.Name(function, ast.Load()), at)
    return ast.copy_location(ast.Call(func=name, args=list(arguments), keywords=[]), at)


def _marker(annotation: ast.expr) -> ast.expr:
    """What stands for the annotation of a field: nothing, or what dataclasses act upon."""
    root: Any = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    if isinstance(root, ast.Constant) and isinstance(root.value, str):
        word = root.value.partition("[")[0].rpartition(".")[2].strip()
    else:
        word = getattr(root, "attr", getattr(root, "id", ""))
    marker = ast.Name(_MARKERS[word], ast.Load()) if word in _MARKERS else ast.Constant(None)
    return ast.copy_location(marker, annotation)


def _is_abc_meta(keyword: ast.keyword) -> bool:
    value = keyword.value
    named = isinstance(value, ast.Name) and value.id == "ABCMeta"
    return keyword.arg == "metaclass" and (named or (isinstance(value, ast.Attribute) and value.attr == "ABCMeta"))


def _without_script(tree: ast.Module) -> ast.Module:
    """The module without the bodies of `if __name__ == "__main__":`, which never run here; lines stay as they are."""
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in _SCRIPT:
            node.body = [ast.copy_location(ast.Pass(), node.body[0])]
    return tree


def compile_program(source: str, filename: str = FILENAME, *, drop_script: bool = False) -> CodeType:
    """Validate a program and compile it to native code. Call it inside the jail: parsers can be bombed.

    Args:
        source: the program.
        filename: by which its lines are found.
        drop_script: leave out what stands behind `if __name__ == "__main__":` at top level.

    Raises:
        PolicyViolation: naming line, construct, and what to write instead.
    """
    return compile_with_fingerprint(source, filename, drop_script=drop_script)[0]


def compile_with_fingerprint(
    source: str, filename: str = FILENAME, *, drop_script: bool = False
) -> tuple[CodeType, bytes]:
    """As `compile_program`, with what stands for the program however it is laid out.

    Raises:
        PolicyViolation: see `compile_program`.
    """
    with in_words(source):
        tree = ast.parse(source, filename)
        tree = _without_script(tree) if drop_script else tree
        policy = _Policy(Facts(tree))
        checked: ast.Module = policy.visit(tree)
        if policy.findings:
            raise _violation(sorted(set(policy.findings)))
        code = compile(checked, filename, "exec", dont_inherit=True, optimize=0)
        return code, fingerprint(checked)


def _violation(findings: list[tuple[int, str]]) -> PolicyViolation:
    line, text = findings[0]
    others = [f"line {at}: {what}" for at, what in findings[1:4]]
    more = f" (and {len(findings) - 4} more)" if len(findings) > 4 else ""
    return PolicyViolation("; also ".join([text, *others]) + more, line or None)
