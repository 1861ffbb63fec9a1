"""Environments on disk: our own JSON Lines, and the JSON of the paper's repository.

Our own format (`autotts.environment/1`, optionally gzipped): the first line is a header, then one question a line, so
that a recording can be read with `head`, and questions can be appended as they are recorded. See docs/formats.md.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autotts.errors import InputError
from autotts.files import write_whole
from autotts.replay.answers import BUILT_IN, get_equivalence
from autotts.replay.environment import Environment, Question, Trajectory
from autotts.replay.validate import Place, gold_of, make_branch, make_header, text_of

__all__ = [
    "SCHEMA",
    "TEXTS",
    "encode_line",
    "environment_files",
    "load_environment",
    "load_environments",
    "parse_json",
    "question_id",
    "read_data",
    "read_environment",
    "save_environment",
    "save_environments",
]

SCHEMA = "autotts.environment/1"
"""Format and version, in the header of every file that we write."""

TEXTS = ".texts.jsonl"
"""How the names of recordings' texts end: they lie beside environments, and are none."""

_SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
_QUESTION_KEYS = {"id", "question", "gold", "branches"}
_BRANCH_KEYS = {"probes", "tokens", "final", "truncated", "signals"}


def load_environments(patterns: Sequence[str | Path], equivalence: str | None = None) -> list[Environment]:
    """Load everything that the patterns name, in their order, each file once.

    Args:
        patterns: files, folders (every .json, .jsonl and .gz of them beneath), globs (`**` included), or
            `synthetic:search`, `synthetic:heldout`.
        equivalence: replaces what the files say.

    Raises:
        InputError: a pattern names nothing, or a file is bad.
    """
    environments: list[Environment] = []
    seen: set[Path] = set()
    for pattern in patterns:
        text = str(pattern)
        if text.startswith("synthetic:"):
            from autotts.replay.synthetic import synthetic_environments

            loaded = synthetic_environments(text.removeprefix("synthetic:"))
            environments += [_equate(environment, equivalence or "exact") for environment in loaded]
            continue
        for path in environment_files(text):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                environments.append(load_environment(path, equivalence))
    return environments


def load_environment(path: str | Path, equivalence: str | None = None) -> Environment:
    """Load one file in either format, told apart by its content.

    The paper's JSON carries no names: model and dataset are taken from `<model>/<dataset>.json`.

    Args:
        path: the file.
        equivalence: how answers are compared; None: as the file's header says, `exact` for the paper's JSON.

    Raises:
        InputError: the file cannot be read or is not valid; names file, line, question, branch and field.
    """
    environment = read_environment(path)
    if equivalence is None and environment.equivalence not in BUILT_IN:
        # A data file must not decide which code runs.
        raise InputError(
            f"{path}: its answers are compared by {environment.equivalence!r}, which is not built in; "
            f"allow it with --equivalence {environment.equivalence}, or choose one of {', '.join(BUILT_IN)}"
        )
    return _equate(environment, equivalence or environment.equivalence)


def read_environment(path: str | Path) -> Environment:
    """Load one file with its answers as they are written: the header's equivalence is named, not yet applied.

    Raises:
        InputError: as `load_environment`.
    """
    path = Path(path)
    data = read_data(path)
    # A byte order mark and blanks may come first.
    head = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    return _load_paper(path, data) if head.startswith(b"[") else _load_lines(path, data)


def save_environment(environment: Environment, path: str | Path) -> None:
    """Write our own format, gzipped if the name ends in .gz; either the whole file appears or nothing changes.

    The header's equivalence is applied when the file is loaded; answers are written as they are. The same environment
    gives the same bytes.

    Raises:
        InputError: the file cannot be written.
    """
    save_environments({Path(path): environment})


def save_environments(environments: Mapping[Path, Environment]) -> None:
    """Write several as `save_environment` does; all of them appear, or none does.

    Raises:
        InputError: one cannot be written.
    """
    write_whole({path: [_bytes(environment, path)] for path, environment in environments.items()}, folders=True)


def _bytes(environment: Environment, path: Path) -> bytes:
    data = b"".join(encode_line(record) for record in _records(environment))
    if not path.name.endswith(".gz"):
        return data
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as stream:
        stream.write(data)
    return buffer.getvalue()


def _equate(environment: Environment, name: str) -> Environment:
    if name == "exact":
        return replace(environment, equivalence=name) if environment.equivalence != name else environment
    return environment.with_equivalence(name, get_equivalence(name))


def environment_files(pattern: str) -> list[Path]:
    """The files behind a pattern, sorted; a file whose name looks like a glob is taken as it stands.

    Raises:
        InputError: there is none.
    """
    path = Path(pattern).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if _is_environment(p.name) and p.is_file())
        if not found:
            raise InputError(f"{pattern}: no environment in this folder; its files must end in {', '.join(_SUFFIXES)}")
        return found
    # Path.glob wants a relative pattern; a user's may be absolute.
    matches = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207
    found = sorted(p for p in matches if p.is_file() and not p.name.endswith(TEXTS))
    if not found:
        hint = "no file matches; check the pattern" if glob.has_magic(pattern) else "no such file or folder"
        raise InputError(f"{pattern}: {hint} (or use synthetic:search)")
    return found


def _is_environment(name: str) -> bool:
    return name.endswith(_SUFFIXES) and not name.endswith(TEXTS)


def read_data(path: Path) -> bytes:
    """What is in a file, unzipped where it is zipped.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); make it readable") from error
    try:
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is damaged as a gzip file ({error}); fetch it or compress it again") from error


def parse_json(place: Place, data: bytes) -> Any:
    """The JSON value of a file or of a line.

    Raises:
        InputError: it is none; names file, line and column.
    """
    try:
        return json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        line, remedy = error.lineno, "the file is one JSON list, so mend it there, or fetch it again if it is cut off"
        if place.line is not None:
            line = place.line + error.lineno - 1
            remedy = "a line that was cut off while being written can be deleted"
        raise InputError(
            f"{place.file}, line {line}, column {error.colno}: not valid JSON ({error.msg}); {remedy}"
        ) from error
    except UnicodeDecodeError as error:
        raise place.error("", f"is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except RecursionError as error:
        raise place.error("", "cannot be read as JSON (it is nested too deeply); it is no environment") from error
    except ValueError as error:  # Python's limit on the digits of a whole number
        raise place.error("", "holds a number of thousands of digits; write such an answer as text") from error


def question_id(text: str) -> str:
    """The id of a question that was given none: the same for every model that reads it."""
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", "surrogatepass")).hexdigest()[:10]


# ---- the paper's JSON --------------------------------------------------------------------------------------------


def _load_paper(path: Path, data: bytes) -> Environment:
    entries = parse_json(Place(path), data)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: holds no questions; expected a list of {{question, gold_answer, each_branch, …}}")
    shared: dict[str, str] = {}
    questions: list[Question] = []
    intervals: set[int] = set()
    seen: dict[str, int] = {}
    for number, entry in enumerate(entries):
        place = Place(path, question=str(number))
        place.require(entry, "question", "gold_answer", "probe_freq", "each_branch")
        text = text_of(place, "question", entry["question"])
        identity = question_id(text)
        if identity in seen:
            raise place.error("question", f"was given as question {seen[identity]} already; put all branches into one")
        seen[identity] = number
        intervals.add(place.whole("probe_freq", entry["probe_freq"], 1))
        if len(intervals) > 1:
            raise place.error("probe_freq", f"differs between questions ({sorted(intervals)}); split the file")
        branches = []
        for k, row in enumerate(place.filled("each_branch", entry["each_branch"])):
            if not isinstance(row, list) or len(row) != 3:
                raise place.at(k).error("each_branch", "must be a list [probes, tokens, final answer]")
            branches.append(make_branch(place, k, shared, row[0], row[1], row[2]))
        gold = gold_of(place, "gold_answer", entry["gold_answer"])
        questions.append(Question(identity, text, gold, tuple(branches)))
    resolved = path.resolve()
    dataset = resolved.name.removesuffix(".gz").removesuffix(".json")
    provenance = {"source": f"{resolved.parent.name}/{resolved.name}", "sha256": hashlib.sha256(data).hexdigest()}
    return Environment(
        resolved.parent.name, dataset, intervals.pop(), tuple(questions), equivalence="exact", provenance=provenance
    )


# ---- our own JSON Lines ------------------------------------------------------------------------------------------


def _load_lines(path: Path, data: bytes) -> Environment:
    lines = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise InputError(f'{path}: is empty; expected a header line with "schema": "{SCHEMA}"')
    place = Place(path, line=lines[0][0])
    try:
        header = parse_json(place, lines[0][1])
    except InputError as error:
        expected = f'the paper\'s JSON (a list), or JSON Lines with a header first ("schema": "{SCHEMA}")'
        raise InputError(f"{error}; expected {expected}") from error
    fields = make_header(place, header, SCHEMA)
    shared: dict[str, str] = {}
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, line in lines[1:]:
        question = _question(Place(path, line=number), parse_json(Place(path, line=number), line), shared)
        if question.id in seen:
            place = Place(path, line=number, question=question.id)
            raise place.error("id", f"was given on line {seen[question.id]} already; ids must differ")
        seen[question.id] = number
        questions.append(question)
    if not questions:
        raise InputError(f"{path}: has a header but no questions; append one question a line")
    return Environment(questions=tuple(questions), **fields)


def _question(place: Place, entry: Any, shared: dict[str, str]) -> Question:
    place.require(entry, "id", "question", "gold", "branches")
    place.refuse_unknown(entry, _QUESTION_KEYS)
    identity = text_of(place, "id", entry["id"])
    place = Place(place.file, place.line, identity)
    text = text_of(place, "question", entry["question"])
    branches = []
    for k, row in enumerate(place.filled("branches", entry["branches"])):
        if not (isinstance(row, dict) and "probes" in row and "tokens" in row and "final" in row):
            place.at(k).require(row, "probes", "tokens", "final")
        if len(row) > 3:
            place.at(k).refuse_unknown(row, _BRANCH_KEYS)
        branches.append(make_branch(place, k, shared, **row))
    return Question(identity, text, gold_of(place, "gold", entry["gold"]), tuple(branches))


def _records(environment: Environment) -> list[dict[str, Any]]:
    header = {
        "schema": SCHEMA,
        "model": environment.model,
        "dataset": environment.dataset,
        "interval": environment.interval,
        "kappa_probe": environment.kappa_probe,
        "max_branches": environment.max_branches,
        "equivalence": environment.equivalence,
        "provenance": dict(environment.provenance),
    }
    questions = [
        {"id": q.id, "question": q.text, "gold": q.gold, "branches": [_branch_record(b) for b in q.branches]}
        for q in environment.questions
    ]
    return [header, *questions]


def _branch_record(branch: Trajectory) -> dict[str, Any]:
    record: dict[str, Any] = {"probes": list(branch.probes), "tokens": branch.tokens, "final": branch.final}
    if branch.truncated:
        record["truncated"] = True
    if branch.signals:
        record["signals"] = {name: list(values) for name, values in sorted(branch.signals.items())}
    return record


def encode_line(record: Mapping[str, Any]) -> bytes:
    """A record as a line of JSON, its line end included; the same record gives the same bytes."""
    try:
        return json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # lone surrogates exist in JSON escapes only
        return json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
