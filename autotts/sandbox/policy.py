"""What a program may say: RestrictedPython's transformer, subclassed to validate while it emits native code.

The jail is the security; the policy gives early, readable feedback and blocks memory between episodes. Reads, calls,
iteration and subscripts stay native (stock guards cost a factor of 2.4 to 4); attribute stores go through `_write_`,
and reads of `format` and `format_map` through `_format_`.
"""

from __future__ import annotations

import ast
from types import CodeType
from typing import Any

from RestrictedPython.transformer import RestrictingNodeTransformer

from autotts.errors import PolicyViolation

__all__ = ["FILENAME", "compile_program"]

FILENAME = "<program>"

METHODS = frozenset(
    "__init__ __post_init__ __call__ __len__ __iter__ __next__ __getitem__ __setitem__ __delitem__ __contains__ "
    "__eq__ __ne__ __lt__ __le__ __gt__ __ge__ __hash__ __bool__ __repr__ __str__ __int__ __float__ __index__ "
    "__add__ __radd__ __iadd__ __sub__ __rsub__ __isub__ __mul__ __rmul__ __imul__ __truediv__ __rtruediv__ "
    "__floordiv__ __mod__ __pow__ __neg__ __pos__ __abs__ __and__ __or__ __xor__ __invert__ __enter__ __exit__ "
    "__reversed__ __round__".split()
)
"""Double-underscore methods that a class may define (and call on `super()`)."""

MODULE_NAMES = frozenset({"__name__", "__doc__", "__all__", "__author__", "__version__"})
CLASS_NAMES = frozenset({"__slots__", "__match_args__", "__hash__", "__doc__"})

FORBIDDEN_ATTRIBUTES = frozenset(
    "gi_frame gi_code gi_yieldfrom cr_frame cr_code cr_await cr_origin ag_frame ag_code ag_await f_back f_builtins "
    "f_code f_globals f_locals f_trace tb_frame tb_next co_code co_consts co_names func_globals func_code mro "
    "ctypes tofile dump dumps fromfile memmap register with_traceback cache_clear cache_info cache_parameters "
    "add_note __self__".split()
)
"""Attributes that lead to frames, code, files, or to memory that outlives an episode."""

FORBIDDEN_NAMES = {
    "exec": "write the code itself",
    "eval": "write the expression itself",
    "compile": "write the code itself",
    "open": "a controller has no files; keep values in local variables",
    "input": "a controller has no input; everything it may know is in `episode`",
    "breakpoint": "use episode.note(name, value) to look at values",
    "globals": "use ordinary variables",
    "locals": "use ordinary variables",
    "vars": "read attributes by name",
    "dir": "read attributes by name",
    "setattr": "write `object.name = value` on an object of a class of your own",
    "delattr": "write `del object.name` on an object of a class of your own",
    "memoryview": "use lists",
    "help": "leave it out",
    "exit": "return None to end without an answer",
    "quit": "return None to end without an answer",
}

Node = ast.AST


class _Policy(RestrictingNodeTransformer):  # type: ignore[misc]
    """Validates; what it does not list is refused by the base class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.class_depth = 0

    def error(self, node: Node, info: str) -> None:
        raise PolicyViolation(info, getattr(node, "lineno", None))

    def not_allowed(self, node: Node) -> None:
        self.error(node, f"{type(node).__name__} statements are not allowed; use ordinary synchronous Python")

    def native(self, node: Node) -> Node:
        """Visit the children; the node itself stays as it is."""
        result: Node = self.node_contents_visit(node)
        return result

    # ---- names and attributes ----------------------------------------------------------------------------------

    def check_name(self, node: Node, name: str | None, allow_magic_methods: bool = False) -> None:
        if name is None:
            return
        if not name.isascii():
            self.error(node, f"the name {name!r} is not ASCII; use plain letters")
        if name in FORBIDDEN_NAMES:
            self.error(node, f"`{name}` is not available here; {FORBIDDEN_NAMES[name]}")
        if name.startswith("__") and not (name in MODULE_NAMES or (allow_magic_methods and name in METHODS)):
            self.error(node, f"the name `{name}` starts with two underscores; use a name with one or none")
        if len(name) > 2 and name.startswith("_") and name.endswith("_") and not name.startswith("__"):
            self.error(node, f"the name `{name}` is reserved; drop the underscore at its end")

    def visit_Name(self, node: ast.Name) -> Node:
        if not (self.class_depth and node.id in CLASS_NAMES):
            self.check_name(node, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Node:
        name = node.attr
        on_super = isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name)
        on_super = on_super and getattr(getattr(node.value, "func", None), "id", "") == "super"
        if not name.isascii():
            self.error(node, f"the attribute {name!r} is not ASCII; use plain letters")
        if name.startswith("__") and not (on_super and name in METHODS) and name not in ("__name__",):
            self.error(node, f"the attribute `{name}` starts with two underscores; use the public operation instead")
        if name in FORBIDDEN_ATTRIBUTES:
            self.error(node, f"the attribute `{name}` is not available here; it leads out of the program")
        node = self.native(node)  # type: ignore[assignment]
        if isinstance(node.ctx, ast.Load):
            if name in ("format", "format_map"):
                return self._call(node, "_format_", node.value, ast.Constant(name))
            return node
        node.value = self._call(node, "_write_", node.value)
        return node

    def _call(self, at: Any, function: str, *args: ast.expr) -> ast.Call:
        call = ast.Call(func=ast.Name(function, ast.Load()), args=list(args), keywords=[])
        ast.copy_location(call, at)
        return ast.fix_missing_locations(call)

    # ---- statements --------------------------------------------------------------------------------------------

    def visit_Module(self, node: ast.Module) -> Node:
        return self.native(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Node:
        self.check_name(node, node.name)
        if node.keywords:
            self.error(node, f"class {node.name}: keywords such as metaclass= are not allowed; leave them out")
        self.class_depth += 1
        try:
            return self.native(node)
        finally:
            self.class_depth -= 1

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Node:
        self.check_name(node, node.name, allow_magic_methods=True)
        self._arguments(node.args)
        node.returns = None
        return self.native(node)

    def visit_Lambda(self, node: ast.Lambda) -> Node:
        self._arguments(node.args)
        return self.native(node)

    def _arguments(self, args: ast.arguments) -> None:
        every = [*args.posonlyargs, *args.args, *args.kwonlyargs]
        for arg in [*every, *(a for a in (args.vararg, args.kwarg) if a)]:
            self.check_name(arg, arg.arg)
            arg.annotation = None  # annotations cost time and can execute code

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Node | None:
        if self.class_depth and isinstance(node.target, ast.Name):
            # A dataclass needs to see its fields; what they are annotated with is never evaluated.
            self.check_name(node.target, node.target.id)
            is_class_var = "ClassVar" in ast.dump(node.annotation)[:200]
            node.annotation = ast.copy_location(ast.Constant("ClassVar" if is_class_var else "field"), node.annotation)
            if node.value is not None:
                node.value = self.visit(node.value)
            return node
        target = self.visit(node.target)
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        assign = ast.Assign(targets=[target], value=self.visit(node.value))
        return ast.copy_location(assign, node)

    def visit_Import(self, node: ast.Import) -> Node:
        return self._import(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Node:
        if node.level:
            self.error(node, "relative imports are not available; import from autotts.toolkit or write the helper here")
        return self._import(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> Node:
        for alias in node.names:
            if alias.name == "*":
                self.error(node, "star imports are not allowed; name what you use")
            if "__" in alias.name:
                self.error(node, f"`{alias.name}` cannot be imported")
            self.check_name(node, alias.asname)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> Node:
        self.check_name(node, node.name)
        return self.native(node)

    def visit_Global(self, node: ast.Global) -> Node:
        for name in node.names:
            self.check_name(node, name)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> Node:
        for name in node.names:
            self.check_name(node, name)
        return node

    def visit_MatchClass(self, node: Node) -> Node:
        self.error(node, "class patterns read attributes by position; match on values, or use isinstance")
        return node

    def visit_MatchAs(self, node: ast.MatchAs) -> Node:
        self.check_name(node, node.name)
        return self.native(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> Node:
        self.check_name(node, node.name)
        return self.native(node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> Node:
        self.check_name(node, node.rest)
        return self.native(node)

    def visit_keyword(self, node: ast.keyword) -> Node:
        if node.arg is not None and node.arg.startswith("__"):
            self.error(node, f"the keyword `{node.arg}` starts with two underscores")
        return self.native(node)

    def visit_arg(self, node: ast.arg) -> Node:
        return node

    def _refuse(self, node: Node) -> Node:
        self.error(node, f"{type(node).__name__} is not allowed; use ordinary synchronous Python")
        return node

    visit_AsyncFunctionDef = visit_AsyncFor = visit_AsyncWith = visit_Await = visit_TryStar = _refuse


for _name in (
    "Assign AugAssign For While If With withitem Try Raise Assert Delete Expr Pass Break Continue Return Yield YieldFrom "
    "Call Subscript Slice Starred Tuple List Dict Set ListComp SetComp DictComp GeneratorExp comprehension IfExp BoolOp "
    "BinOp UnaryOp Compare NamedExpr JoinedStr FormattedValue Constant arguments alias Match match_case MatchValue "
    "MatchSingleton MatchSequence MatchOr"
).split():
    # Python itself does these; only what is inside them needs a look.
    setattr(_Policy, f"visit_{_name}", _Policy.native)


def compile_program(source: str, filename: str = FILENAME) -> CodeType:
    """Validate a program and compile it to native code. Call it inside the jail: parsers have bombs.

    Raises:
        PolicyViolation: naming the line, the construct, and what to write instead.
    """
    try:
        tree = ast.parse(source, filename)
        checked = _Policy(errors=[], warnings=[], used_names={}).visit(tree)
        return compile(ast.fix_missing_locations(checked), filename, "exec", dont_inherit=True, optimize=0)
    except SyntaxError as error:
        raise PolicyViolation(f"syntax error: {error.msg}", error.lineno) from None
    except (RecursionError, ValueError) as error:
        raise PolicyViolation(f"the program does not compile ({error}); write it less deeply nested") from None
