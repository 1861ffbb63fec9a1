"""The archive: everything that was proposed, what became of it, and the figures behind it, in one database.

Each method is one transaction; `with archive.transaction():` makes several of them one. There is one writer at a time
(others wait), so numbers are counted and fronts kept without retries. Keys are content hashes, (run, round, slot) and
counted numbers: the same search gives the same rows whatever the clock says. `created` columns alone know the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from autotts.archive import rows
from autotts.archive.database import CLOCK, STREAMED, next_number, now
from autotts.archive.integrity import Integrity
from autotts.archive.overview import ADDED, LISTED, Overview
from autotts.archive.pareto import Point, front
from autotts.archive.records import Added, Evaluation, LedgerEntry, Listed, Program, Proposal, Run, Verdict
from autotts.archive.schema import ArchiveError, tables
from autotts.archive.transfer import Transfers
from autotts.errors import InputError

__all__ = ["Archive"]

_HOW_MANY = sa.func.count().label("how_many")


class Archive(Transfers, Integrity, Overview):
    """An archive at a path (SQLite) or a database URL. Usable from many threads; a context manager.

    Args:
        target: path or SQLAlchemy URL.
        create: make it where there is none; reading commands pass False.
        notice: told, in a line, when it has to be waited for (`patience`); standard error by default.

    Raises:
        InputError: there is none, it is not an archive, or another version wrote it.
        ArchiveError: the database cannot be reached.
    """

    # programs

    def add_program(self, program: Program, *, agent: str = "") -> Added:
        """Add a program; one that is there already stays as it is, but for a fingerprint that it did not have.

        Args:
            program: its hash is the key.
            agent: who added it outside a run ("person"); "" for programs that belong to proposals.
        """
        t = tables.program
        with self._writing() as connection:
            found = connection.execute(sa.select(t.c.fingerprint).where(t.c.hash == program.hash)).first()
            if found and program.fingerprint and not found.fingerprint:  # a person added it, and it was not run then
                connection.execute(sa.update(t).where(t.c.hash == program.hash).values(fingerprint=program.fingerprint))
            if found:
                return Added.DUPLICATE
            values = {**asdict(program), "idea": rows.clean(program.idea), "agent": agent}
            connection.execute(sa.insert(t).values(**values, number=next_number(connection, t.c.number)))
        return Added.ADDED

    def added(self) -> list[str]:
        """Hashes of the programs that were added outside a run, in the order in which they came."""
        t = tables.program
        found = self._all(sa.select(t.c.hash, t.c.number).where(ADDED))
        return [row.hash for row in sorted(found, key=lambda row: row.number)]

    def program(self, hash: str) -> Program | None:
        """The program with this full hash."""
        row = self._first(sa.select(tables.program).where(tables.program.c.hash == hash))
        return rows.program_of(row) if row else None

    def resolve(self, reference: str) -> Program:
        """The program of this name (the newest where several had it), or of this unique prefix of a hash.

        Raises:
            InputError: no program, or more than one, fits.
        """
        t = tables.program
        text = reference.strip()
        if text:
            named = self._first(sa.select(t).where(t.c.name == text).order_by(t.c.number.desc()))
            if named:
                return rows.program_of(named)
        prefix = text.lower()
        if not prefix or set(prefix) - set("0123456789abcdef"):
            raise InputError(f"{reference}: no program of that name in {self.name}; `autotts list` shows what there is")
        # a range, not LIKE: it uses the key's index in every database
        query = sa.select(t).where(t.c.hash >= prefix, t.c.hash < prefix + "g").order_by(t.c.hash).limit(6)
        found = self._all(query)
        if not found:
            raise InputError(f"{reference}: no program has that id in {self.name}; `autotts list` shows what there is")
        if len(found) > 1:
            some = ", ".join(row.hash[: max(10, len(prefix) + 2)] for row in found[:5]) + (", …" if found[5:] else "")
            raise InputError(f"{reference} stands for several programs ({some}); give more digits")
        return rows.program_of(found[0])

    # runs

    def add_run(self, run: Run) -> None:
        """Begin a run.

        Raises:
            InputError: there is one of that name.
        """
        t = tables.run
        with self._writing() as connection:
            if connection.execute(sa.select(t.c.name).where(t.c.name == run.name)).first():
                raise InputError(f"{self.name} has a run {run.name} already; resume it, or give --run another name")
            values = {**rows.run_row(run), "number": next_number(connection, t.c.number), CLOCK: now()}
            connection.execute(sa.insert(t).values(**values))

    def run(self, name: str) -> Run:
        """The run of this name.

        Raises:
            InputError: there is none.
        """
        row = self._first(sa.select(tables.run).where(tables.run.c.name == name))
        if row is None:
            names = ", ".join(run.name for run in self.runs()[-5:]) or "none"
            raise InputError(f"{name}: no such run in {self.name}; the last runs: {names}")
        return rows.run_of(row)

    def runs(self) -> list[Run]:
        """All runs in the order in which they began."""
        return [rows.run_of(row) for row in self._all(sa.select(tables.run).order_by(tables.run.c.number))]

    def next_run_name(self, prefix: str = "run") -> str:
        """`run-1`, `run-2`, …: the first that is free."""
        taken = {row.name for row in self._all(sa.select(tables.run.c.name))}
        return next(name for n in range(1, len(taken) + 2) if (name := f"{prefix}-{n}") not in taken)

    def set_run_state(self, name: str, state: str) -> None:
        """Change a run's state."""
        with self._writing() as connection:
            connection.execute(sa.update(tables.run).where(tables.run.c.name == name).values(state=state))

    def set_run_config(self, name: str, config: Mapping[str, Any]) -> None:
        """Change what a run goes on with: its limits, the number of its rounds."""
        with self._writing() as connection:
            values = {"config": rows.dumps(config)}
            connection.execute(sa.update(tables.run).where(tables.run.c.name == name).values(**values))

    def add_seconds(self, name: str, seconds: float) -> float:
        """Count time that a run has taken; all of it so far."""
        t = tables.run
        with self._writing() as connection:
            connection.execute(sa.update(t).where(t.c.name == name).values(seconds=t.c.seconds + seconds))
            return float(connection.execute(sa.select(t.c.seconds).where(t.c.name == name)).scalar() or 0.0)

    def seconds(self, name: str) -> float:
        """The time that a run has taken so far."""
        t = tables.run
        row = self._first(sa.select(t.c.seconds).where(t.c.name == name))
        return float(row.seconds) if row else 0.0

    # proposals

    def add_proposal(self, proposal: Proposal) -> Added:
        """Store an agent's answer before anything is done with it. A slot that has one keeps it."""
        t = tables.proposal
        with self._writing() as connection:
            if connection.execute(
                sa.select(t.c.run).where(*_slot(proposal.run, proposal.round, proposal.slot))
            ).first():
                return Added.DUPLICATE
            connection.execute(sa.insert(t).values(**rows.proposal_row(proposal)))
        return Added.ADDED

    def commit_slot(
        self,
        run: str,
        round: int,
        slot: int,
        verdict: Verdict,
        *,
        program: Program | None = None,
        evaluations: Iterable[Evaluation] = (),
        curve: str = "",
        points: Iterable[Point] = (),
    ) -> None:
        """Decide a slot: verdict, program, evaluations and points of the mean curve in one transaction.

        Args:
            run, round, slot: a slot whose proposal is stored.
            verdict: what became of it.
            program: added first where it is new.
            evaluations, points: see `add_evaluation`, `add_points`.
            curve: key of what the points were measured on.

        Raises:
            ArchiveError: the slot has no proposal or is decided, or an earlier proposal of the run is undecided.
        """
        t = tables.proposal
        with self._writing() as connection:
            row = connection.execute(sa.select(t.c.outcome).where(*_slot(run, round, slot))).first()
            if row is None or row.outcome is not None:
                state = "has no proposal" if row is None else f"is decided already ({row.outcome})"
                raise ArchiveError(f"{self.name}: slot {slot} of round {round} in {run} {state}")
            earlier = sa.tuple_(t.c.round, t.c.slot) < (round, slot)
            undecided = sa.select(t.c.round, t.c.slot).where(t.c.run == run, t.c.outcome.is_(None), earlier)
            if before := connection.execute(undecided.limit(1)).first():
                raise ArchiveError(
                    f"{self.name}: slot {slot} of round {round} in {run} cannot be decided before "
                    f"slot {before.slot} of round {before.round}"
                )
            if program is not None:
                self.add_program(program)
            connection.execute(sa.update(t).where(*_slot(run, round, slot)).values(**rows.verdict_row(verdict)))
            for evaluation in evaluations:
                self.add_evaluation(evaluation)
            self.add_points(run, curve, points)

    def proposals(self, run: str) -> Iterator[Proposal]:
        """All proposals of a run by (round, slot), rejects and undecided ones included."""
        t = tables.proposal
        yield from map(rows.proposal_of, self._paged(sa.select(t).where(t.c.run == run), t.c.round, t.c.slot))

    def proposal(self, run: str, round: int, slot: int) -> Proposal | None:
        """The proposal of one slot."""
        row = self._first(sa.select(tables.proposal).where(*_slot(run, round, slot)))
        return rows.proposal_of(row) if row else None

    def last_slot(self, run: str) -> tuple[int, int]:
        """(round, slot) of the last proposal of a run, (−1, −1) where there is none."""
        t = tables.proposal
        query = sa.select(t.c.round, t.c.slot).where(t.c.run == run).order_by(t.c.round.desc(), t.c.slot.desc())
        row = self._first(query)
        return (row.round, row.slot) if row else (-1, -1)

    def outcomes(self, run: str) -> dict[str, int]:
        """How many decided proposals of a run ended in each outcome."""
        t = tables.proposal
        query = sa.select(t.c.outcome, _HOW_MANY).where(t.c.run == run, t.c.outcome.is_not(None))
        return {row.outcome: row.how_many for row in self._all(query.group_by(t.c.outcome).order_by(t.c.outcome))}

    def listing(self, run: str | None = None) -> Iterator[Listed]:
        """The archive's list: programs that people added, then the proposals of each run in order; or of one run."""
        t = tables.proposal
        if run is None:
            added = self._all(sa.select(tables.program).where(ADDED))
            yield from map(rows.listed_by_hand, sorted(added, key=lambda row: row.number))
        for name in [run] if run is not None else [r.name for r in self.runs()]:
            yield from map(rows.listed_of, self._paged(LISTED.where(t.c.run == name), t.c.round, t.c.slot))

    # evaluations

    def add_evaluation(self, evaluation: Evaluation) -> Added:
        """Add the scores of a stored program; the first of a (program, environment, protocol, source) stays."""
        t = tables.evaluation
        key = {name: getattr(evaluation, name) for name in ("program", "environment", "protocol", "source")}
        with self._writing() as connection:
            if connection.execute(sa.select(t.c.program).where(*(t.c[k] == v for k, v in key.items()))).first():
                return Added.DUPLICATE
            connection.execute(sa.insert(t).values(**rows.evaluation_row(evaluation)))
        return Added.ADDED

    def get_evaluations(
        self, program: str, environments: Iterable[str], protocol: str, source: str
    ) -> dict[str, Evaluation]:
        """By environment hash, in the order asked for; what is not there is left out."""
        t = tables.evaluation
        wanted = list(environments)
        query = sa.select(t).where(t.c.program == program, t.c.environment.in_(wanted))
        query = query.where(t.c.protocol == protocol, t.c.source == source)
        found = {row.environment: rows.evaluation_of(row) for row in self._all(query)}
        return {name: found[name] for name in wanted if name in found}

    # front

    def add_points(self, run: str, curve: str, points: Iterable[Point]) -> None:
        """Add points of confirmed mean curves, and keep the run's front.

        The cost depends on the front, not on how many points the run has. A (program, β) that is there stays.

        Args:
            run: the run.
            curve: key of the environments and protocol; only points of one curve are comparable.
            points: `id` is the program's full hash.
        """
        t = tables.point
        new = {(p.id, p.beta): p for p in points}
        if not new:
            return
        with self._writing() as connection:
            owners = list(dict.fromkeys(p.id for p in new.values()))
            known = connection.execute(sa.select(t.c.program, t.c.beta).where(t.c.run == run, t.c.program.in_(owners)))
            for row in known.all():
                new.pop((row.program, row.beta), None)
            held = connection.execute(sa.select(t).where(t.c.run == run, t.c.on_front.is_(True))).all()
            old = {(row.program, row.beta): rows.point_of(row) for row in held}
            edge = {(p.id, p.beta) for p in front([*old.values(), *new.values()])}
            if fallen := [{"of": program, "at": beta} for program, beta in old if (program, beta) not in edge]:
                # One by one, each by its key: of one condition with OR, SQLite makes a walk over the run's points.
                key = t.c.run == run, t.c.program == sa.bindparam("of"), t.c.beta == sa.bindparam("at")
                connection.execute(sa.update(t).where(*key).values(on_front=False), fallen)
            if new:
                connection.execute(
                    sa.insert(t), [_point_row(p, run, curve, key in edge) for key, p in sorted(new.items())]
                )

    def points(self, run: str, program: str) -> list[Point]:
        """A program's confirmed mean curve in a run, by β."""
        t = tables.point
        query = sa.select(t).where(t.c.run == run, t.c.program == program).order_by(t.c.beta)
        return [rows.point_of(row) for row in self._all(query)]

    def each_point(self, run: str) -> Iterator[Point]:
        """The points of all confirmed mean curves of a run, in no order, a page at a time."""
        query = sa.select(tables.point).where(tables.point.c.run == run)
        with self._connection(writing=False) as connection:
            yield from map(rows.point_of, connection.execute(query, execution_options=STREAMED))

    def front(self, run: str | None = None, curve: str | None = None) -> list[Point]:
        """The front of a run, or of all runs whose points have this curve key, by rising tokens.

        Raises:
            ValueError: neither is given: points of different curves cannot be compared.
        """
        t = tables.point
        if (run is None) == (curve is None):
            raise ValueError("give either a run or a curve")
        where = t.c.run == run if run is not None else t.c.curve == curve
        return front(rows.point_of(row) for row in self._all(sa.select(t).where(where, t.c.on_front.is_(True))))

    # ledger

    def append_ledger(self, entry: LedgerEntry) -> LedgerEntry:
        """Write down a look at a held-out environment; gives the entry with its counted number."""
        t = tables.ledger
        with self._writing() as connection:
            numbered = replace(entry, number=next_number(connection, t.c.number, t.c.environment == entry.environment))
            connection.execute(sa.insert(t).values(**rows.ledger_row(numbered), **{CLOCK: now()}))
        return numbered

    def ledger(self, environment: str | None = None, program: str | None = None) -> list[LedgerEntry]:
        """All entries, or those of an environment or program (hashes), by environment and number."""
        t = tables.ledger
        query = sa.select(t).order_by(t.c.environment, t.c.number)
        for column, value in ((t.c.environment, environment), (t.c.program, program)):
            query = query if value is None else query.where(column == value)
        return [rows.ledger_of(row) for row in self._all(query)]

    def ledger_count(self, environment: str) -> int:
        """How often this environment was looked at."""
        row = self._first(sa.select(_HOW_MANY).where(tables.ledger.c.environment == environment))
        return int(row.how_many) if row else 0


def _slot(run: str, round: int, slot: int) -> tuple[sa.ColumnElement[bool], ...]:
    t = tables.proposal
    return t.c.run == run, t.c.round == round, t.c.slot == slot


def _point_row(point: Point, run: str, curve: str, on_front: bool) -> dict[str, Any]:
    figures = {"tokens": point.tokens, "accuracy": point.accuracy, "sequential_tokens": point.sequential_tokens}
    return {"run": run, "program": point.id, "beta": point.beta, "curve": curve, "on_front": on_front, **figures}
