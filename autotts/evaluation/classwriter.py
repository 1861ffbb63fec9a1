"""Programs as class-style files of the paper's repository, which run where AutoTTS is not installed.

Such a file holds the toolkit, the `Episode` and the program, each as it is, but for imports of the toolkit; nothing in
it executes text, so that AutoTTS's own policy admits it. A program is read with Python's tokenizer only: the host never
parses one, for parsers have bombs.
"""

from __future__ import annotations

import ast
import builtins
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib import resources

from autotts import toolkit
from autotts.errors import InputError
from autotts.evaluation.program import CLASS_DEFAULT, Program

__all__ = ["class_file"]

_ROOM = "_autotts"
"""The one name, with those that begin so, that a file keeps for itself beside `CLASS_DEFAULT`."""

LONGEST = 1000
"""Words of an import statement."""

_OTHERS = '''
UNPARSED_ID = 0
Paid = Source = None


class InadmissibleAction(Exception):
    """An action that the decision process does not admit in this state; the whole wave was refused."""


class _Rows(dict):
    """Rows of a table, made when they are asked for."""

    def __missing__(self, n):
        self[n] = _binomial_tails(n)
        return self[n]
'''

_CLASS = f'''
class {CLASS_DEFAULT}:
    """The program above, as the paper's evaluator drives it: `config` is {{"beta": β}}, 0 ≤ β ≤ 1."""

    def __init__(self, config):
        self.config = config
        self._knobs = {_ROOM}.knobs_at(schedule, config)

    def solve(self, question):
        """The answer as the question has it, None where the program gives none."""
        return {_ROOM}.play(solve, question, self._knobs)

    def __call__(self, question):
        return self.solve(question)
'''


def class_file(program: Program) -> str:
    """A program as a file that defines `OptimalController(config={"beta": β})`; class-style programs as they are.

    Raises:
        InputError: Python cannot read the program's words, it uses a name that the file needs, or it imports of
            autotts what programs cannot.
    """
    if program.class_name:
        return program.source
    tokens = _tokens(program)
    names = {token.string for token in tokens if token.type == tokenize.NAME}
    taken = sorted(name for name in names if name.startswith(_ROOM) or name == CLASS_DEFAULT)
    if taken:
        raise InputError(f"{program.id}: uses the name {taken[0]}, which a class file needs; rename it in the program")
    # Programs never have their annotations evaluated. But dataclasses look their module up to read such annotations,
    # and an evaluator may load this file without giving it a place to be found.
    lazy = "__future__" in names or "dataclass" not in names
    parts = [
        _docstring(program.idea or f"Program {program.id}."),
        *(["from __future__ import annotations\n"] if lazy else []),
        f"# ---- What the program stands on: AutoTTS's toolkit and its decision process ----\n\n\n{_room()}",
        f"# ---- The program {program.id} ----\n\n{_rewritten(program, tokens)}",
        f"# ---- What the evaluator drives ----\n\n{_CLASS}",
    ]
    return "\n".join(parts)


def _docstring(idea: str) -> str:
    """The idea as a docstring that says nothing but that."""
    text = idea.replace('"', "'").rstrip("\\")
    return f'{"r" if chr(92) in text else ""}"""{text}"""\n'


@cache
def _room() -> str:
    """Toolkit and episode in a function of their own, so that no name of the program's is theirs.

    The built-ins that they use come in as parameters, before a program can give these names to something else.
    """
    body = "\n\n".join([_OTHERS, *(_module(*place) for place in (
        ("autotts", "toolkit.py"), ("autotts.replay", "episode.py"), ("autotts.evaluation", "classfile.py")
    ))])  # fmt: skip
    # Filling the whole table takes longer than an episode, and in the jail each episode begins anew.
    eager = "[_binomial_tails(n) for n in range(258)]"
    assert body.count(eager) == 1
    body = body.replace(eager, "_Rows()")
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)} & set(dir(builtins))
    given = ", ".join(f"{name}={name}" for name in sorted(used))
    head = textwrap.fill(f"def {_ROOM}_room(*, {given}):", 116, subsequent_indent=" " * 8, break_long_words=False)
    names = ", ".join(toolkit.__all__)
    end = (
        f'tools = namedtuple("toolkit", "{" ".join(toolkit.__all__)}")({names})\n'
        'return namedtuple("autotts", "toolkit knobs_at play")(tools, knobs_at, play)'
    )
    whole = f"from collections import namedtuple\n{body}\n\n{end}\n"
    return f"{head}\n{textwrap.indent(whole, '    ')}\n\n{_ROOM} = {_ROOM}_room()\n\n"


def _module(package: str, name: str) -> str:
    """A module of ours without its docstring, its imports of ours, and its list of names."""
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = text.split("\n")
    for number, node in enumerate(tree.body):
        ours = isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in ("autotts", "__future__")
        listed = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if ours or listed or number == 0:
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or 0) - node.lineno + 1)
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).strip("\n")


def _tokens(program: Program) -> list[tokenize.TokenInfo]:
    try:
        return list(tokenize.generate_tokens(io.StringIO(program.source, newline="\n").readline))
    except (tokenize.TokenError, SyntaxError) as error:
        raise InputError(
            f"{program.id}: Python cannot read the program ({error.args[0]}); export it as it is"
        ) from None


def _rewritten(program: Program, tokens: Sequence[tokenize.TokenInfo]) -> str:
    """The source with what it imports of ours taken from the room; all else stays as it is."""
    lines = program.source.split("\n")
    for statement in reversed(list(_imports(tokens))):
        instead = _instead(program, statement)
        if instead is not None:
            (first, left), (last, right) = statement[0].start, statement[-1].end
            whole = lines[first - 1][:left] + instead + lines[last - 1][right:]
            lines[first - 1 : last] = [whole]
    return "\n".join(lines)


def _imports(tokens: Sequence[tokenize.TokenInfo]) -> Iterator[list[tokenize.TokenInfo]]:
    """The tokens of each import statement, without comments and line breaks within."""
    statement: list[tokenize.TokenInfo] = []
    begins = True
    for token in tokens:
        if token.type in (tokenize.COMMENT, tokenize.NL):
            continue
        if statement and (token.type in (tokenize.NEWLINE, tokenize.ENDMARKER) or token.string == ";"):
            yield statement
            statement = []
        if statement or (begins and token.type == tokenize.NAME and token.string in ("from", "import")):
            statement.append(token)
        layout = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        begins = layout or token.string in (";", ":")


def _instead(program: Program, statement: Sequence[tokenize.TokenInfo]) -> str | None:
    """What stands for an import of ours (or of the future, which has its place at the top); None for another one."""
    node: ast.stmt = ast.Pass()
    if len(statement) < LONGEST:  # a parser takes the square of that
        with suppress(SyntaxError):
            node = ast.parse(" ".join(token.string for token in statement)).body[0]
    if isinstance(node, ast.ImportFrom) and not node.level:
        if node.module == "__future__":
            return "pass"
        if str(node.module).partition(".")[0] != "autotts":
            return None
        found = [(alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names]
        others: list[str] = []
    elif isinstance(node, ast.Import):
        ours = [alias for alias in node.names if alias.name.partition(".")[0] == "autotts"]
        if not ours:
            return None
        found = [(alias.asname or "autotts", alias.name if alias.asname else "autotts") for alias in ours]
        others = [ast.unparse(ast.Import([alias])) for alias in node.names if alias not in ours]
    else:
        raise InputError(f"{program.id}: line {statement[0].start[0]} imports in a way that a program cannot")
    there = {"autotts", "autotts.toolkit", *(f"autotts.toolkit.{name}" for name in toolkit.__all__)}
    for _, path in found:
        if path not in there:
            raise InputError(f"{program.id}: line {statement[0].start[0]} imports {path}, which is not in the toolkit")
    return "; ".join([*others, *(f"{name} = {_ROOM}{path.removeprefix('autotts')}" for name, path in found)])
