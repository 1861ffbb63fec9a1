"""Environments put together, parted, and looked over."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from autotts.errors import InputError
from autotts.replay.environment import UNPARSED, Environment, Question, Trajectory

__all__ = ["Duplicates", "Suspicion", "merge", "split", "suspicions"]

Duplicates = Literal["refuse", "drop", "keep"]

MANY_TRUNCATED, MANY_UNPARSED_PROBES, MANY_UNPARSED_FINALS = 0.05, 0.25, 0.05
"""Shares beyond which a recording is suspicious; of the published ones none has more."""

TELLING = 3
"""Probes from which on two branches that are the same are no chance."""


@dataclass(frozen=True)
class Suspicion:
    """Something that a good recording seldom has.

    Attributes:
        kind: in a word.
        message: what, in a sentence.
        questions: ids of where it is, () where it is about the whole.
    """

    kind: str
    message: str
    questions: tuple[str, ...] = ()


# ---- looking over ----------------------------------------------------------------------------------------------------


def suspicions(environment: Environment) -> list[Suspicion]:
    """What is strange about an environment that could be loaded, its equivalence applied."""
    return [*_about_questions(environment), *_about_branches(environment)]


def _about_questions(environment: Environment) -> Iterator[Suspicion]:
    questions = environment.questions
    if never := [q.id for q in questions if not any(q.gold in branch.answers for branch in q.branches)]:
        yield Suspicion(
            "gold never seen",
            f"no branch of {_counted(never, 'question')} ever shows the right answer: too hard, or written otherwise",
            tuple(never),
        )
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for question in questions:
        texts[" ".join(question.text.split())].append(question.id)
    for ids in texts.values():
        if len(ids) > 1:
            yield Suspicion("duplicate question", f"the same text is there {len(ids)} times", tuple(ids))
    twice = []
    for question in questions:
        keys = Counter(_key(branch) for branch in question.branches if len(branch.probes) >= TELLING)
        if any(count > 1 for count in keys.values()):
            twice.append(question.id)
    if twice:
        yield Suspicion(
            "duplicate branches",
            f"{_counted(twice, 'question')} with branches that are the same, token for token: one seed for several?",
            tuple(twice),
        )


def _about_branches(environment: Environment) -> Iterator[Suspicion]:
    branches = [branch for question in environment.questions for branch in question.branches]
    short = [
        question.id
        for question in environment.questions
        if any(branch.tokens < environment.interval * len(branch.probes) for branch in question.branches)
    ]
    if short:
        n = sum(branch.tokens < environment.interval * len(branch.probes) for branch in branches)
        yield Suspicion(
            "shorter than its probes",
            f"{n} of {len(branches)} branches have fewer tokens than the multiples of {environment.interval} that they "
            "were probed at",
            tuple(short),
        )
    probes = [answer for branch in branches for answer in branch.probes]
    shares = (
        ("truncated", "branches were cut off", [branch.truncated for branch in branches], MANY_TRUNCATED),
        ("unparsed probes", "probes were not parsed", [a == UNPARSED for a in probes], MANY_UNPARSED_PROBES),
        (
            "unparsed finals",
            "final answers were not parsed",
            [b.final == UNPARSED for b in branches],
            MANY_UNPARSED_FINALS,
        ),
    )
    for kind, what, flags, many in shares:
        if flags and sum(flags) > many * len(flags):
            yield Suspicion(kind, f"{sum(flags) / len(flags):.1%} of {what}, more than {many:.0%}")


def _counted(ids: Sequence[str], noun: str) -> str:
    return f"{len(ids)} {noun}{'' if len(ids) == 1 else 's'}"


def _key(branch: Trajectory) -> tuple[object, ...]:
    return (branch.probes, branch.tokens, branch.final, branch.truncated, tuple(sorted(branch.signals.items())))


# ---- putting together ------------------------------------------------------------------------------------------------


def merge(
    environments: Mapping[str, Environment], dataset: str | None = None, duplicates: Duplicates = "refuse"
) -> Environment:
    """One environment of several of the same model: questions united, branches of the same question joined.

    Args:
        environments: by the name that errors call them by, their answers as they are written.
        dataset: what it is called, None: as all of them are.
        duplicates: what becomes of a branch that another of them has, too: it is an error, left out, or kept.

    Raises:
        InputError: they contradict each other: what, where, and what to do.
    """
    first = next(iter(environments.values()))
    if dataset is not None:
        environments = {name: replace(made, dataset=dataset) for name, made in environments.items()}
    _must_be_alike(environments)
    united: dict[str, Question] = {}
    origin: dict[str, str] = {}
    texts: dict[str, str] = {}
    for name, environment in environments.items():
        for question in environment.questions:
            known = united.get(question.id)
            text = " ".join(question.text.split())
            if known is None:
                if text in texts:
                    other = texts[text]
                    raise InputError(
                        f"{name}: question {question.id} is question {other} of {origin[other]}; give them one id"
                    )
                united[question.id], origin[question.id], texts[text] = question, name, question.id
                continue
            _must_agree(name, question, origin[question.id], known)
            united[question.id] = _joined(name, question, origin[question.id], known, duplicates)
    return replace(
        first,
        dataset=dataset or first.dataset,
        questions=tuple(united.values()),
        provenance=_provenance([environment.provenance for environment in environments.values()]),
    )


def _must_be_alike(environments: Mapping[str, Environment]) -> None:
    (first, one), *others = environments.items()
    for name, other in others:
        for field in ("model", "dataset", "interval", "kappa_probe", "max_branches", "equivalence"):
            mine, yours = getattr(one, field), getattr(other, field)
            if mine != yours:
                hint = "give one with --dataset" if field == "dataset" else "`autotts env import` changes settings"
                hint = "they cannot be merged" if field in ("model", "interval") else hint
                raise InputError(f"{name}: field {field!r} is {yours!r}, and {mine!r} in {first}; {hint}")


def _must_agree(name: str, question: Question, origin: str, known: Question) -> None:
    if " ".join(question.text.split()) != " ".join(known.text.split()):
        raise InputError(f"{name}: question {question.id} has another text than in {origin}; give it another id")
    if question.gold != known.gold:
        raise InputError(
            f"{name}: question {question.id} has the right answer {question.gold[:40]!r}, and {known.gold[:40]!r} in "
            f"{origin}; mend the one that is wrong"
        )


def _joined(name: str, question: Question, origin: str, known: Question, duplicates: Duplicates) -> Question:
    there = {_key(branch) for branch in known.branches}
    again = [k for k, branch in enumerate(question.branches) if _key(branch) in there]
    if again and duplicates == "refuse":
        raise InputError(
            f"{name}: question {question.id}: branch {again[0]} is in {origin}, too; leave such out with "
            "--duplicates drop, or keep them where they are chance"
        )
    left_out = set(again if duplicates == "drop" else ())
    more = tuple(branch for k, branch in enumerate(question.branches) if k not in left_out)
    return replace(known, branches=known.branches + more)


def _provenance(several: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What each says of where it is from; what they say differently side by side."""
    keys = dict.fromkeys(key for one in several for key in one)
    return {key: " | ".join(dict.fromkeys(one[key] for one in several if key in one)) for key in keys}


# ---- parting ---------------------------------------------------------------------------------------------------------


def split(environment: Environment, parts: Mapping[str, float], seed: int) -> dict[str, Environment]:
    """Parts of an environment by question, each with all of its branches.

    Where a question goes depends on its text, the seed and the shares alone: the same question is in the same part
    of every model's recording, and of a data set that has more.

    Args:
        environment: what is parted.
        parts: share by name; they add up to 1.
        seed: another seed, another parting.

    Raises:
        InputError: a part would have no question.
    """
    chosen: dict[str, list[Question]] = {name: [] for name in parts}
    for question in environment.questions:
        chosen[_part_of(question, parts, seed)].append(question)
    for name, questions in chosen.items():
        if not questions:
            raise InputError(
                f"{environment.name}: none of its {len(environment.questions)} questions falls into {name}; give "
                "another --seed, or a greater share"
            )
    return {
        name: replace(
            environment,
            questions=tuple(questions),
            provenance={**environment.provenance, "part": f"{name}={parts[name]:g} of seed {seed}"},
        )
        for name, questions in chosen.items()
    }


def _part_of(question: Question, parts: Mapping[str, float], seed: int) -> str:
    text = " ".join(question.text.split())
    digest = hashlib.sha256(f"{seed}\0{text}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    for name, share in parts.items():
        place -= share
        if place < 0:
            return name
    return name  # what rounding left
