"""Questions that are to be asked: JSON Lines with a question and its answer each."""

from __future__ import annotations

from pathlib import Path

from autotts.errors import InputError
from autotts.replay.environment import Question
from autotts.replay.formats import parse_json, question_id, read_data
from autotts.replay.validate import Place, gold_of, text_of

__all__ = ["read_questions"]


def read_questions(path: Path) -> tuple[Question, ...]:
    """Questions without branches, in the order of the file.

    Each line is an object with `question`, `answer` and perhaps `id`; without one it is a hash of the text, as in the
    paper's JSON. Other fields, which data sets have, are left alone.

    Raises:
        InputError: the file cannot be read, a line is bad, or a question is there twice; names file, line and field.
    """
    questions: list[Question] = []
    ids: dict[str, int] = {}
    texts: dict[str, int] = {}
    for number, line in enumerate(read_data(path).split(b"\n"), 1):
        if not line.strip():
            continue
        place = Place(path, line=number)
        entry = parse_json(place, line)
        place.require(entry, "question", "answer")
        text = text_of(place, "question", entry["question"])
        identity = question_id(text) if entry.get("id") is None else text_of(place, "id", entry["id"])
        for field, seen, key in (("question", texts, question_id(text)), ("id", ids, identity)):
            if key in seen:
                raise place.error(field, f"was given on line {seen[key]} already; ask each question once")
            seen[key] = number
        questions.append(Question(identity, text, gold_of(place, "answer", entry["answer"]), ()))
    if not questions:
        raise InputError(f'{path}: holds no questions; write one a line, {{"question": "…", "answer": "…"}}')
    return tuple(questions)
