"""`autotts champion`: whom a run's data speaks for, and how far."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from autotts.archive import Archive
from autotts.cli._common import (
    archive_option,
    console,
    json_option,
    option,
    print_json,
    sandbox_options,
    workers_option,
)
from autotts.cli.archive import pick_run, run_option
from autotts.search.report import Difference, Known, Report, report
from autotts.search.reserve import Reserved, look_at_reserve
from autotts.ui.report import print_report, print_reserved

__all__ = ["champion", "difference_json"]


@click.command()
@run_option
@option("--look", is_flag=True, help="Look at the questions in reserve too: host episodes, counted in the ledger.")
@workers_option
@sandbox_options
@archive_option
@json_option
def champion(
    run_name: str | None, look: bool, workers: int, isolating: dict[str, Any], archive: str, as_json: bool
) -> int:
    """The champion of a run, corrected for having been chosen: what it is better than, and what carries that.

    Everything comes from the archive; nothing is run again, but for a look at the questions in reserve. Exit code 1
    where no program of an agent was confirmed.
    """
    with Archive(archive, create=False) as store:
        run = pick_run(store, run_name)
        found = report(store, run.name)
        if found is None:
            click.echo(f"{run.name}: no program of an agent is confirmed, so it has no champion", err=True)
            return 1
        unseen = look_at_reserve(store, found, workers, **isolating) if look else None
    if as_json:
        print_json({**_report_json(found), "reserved": unseen and _reserved_json(unseen)})
        return 0
    print_report(console(), found)
    if unseen is not None:
        print_reserved(console(), unseen)
    return 0


def difference_json(found: Difference) -> dict[str, Any]:
    """A difference in points."""
    return {
        "gain": 100 * found.gain,
        "se": 100 * found.se,
        "ci95": [100 * end for end in found.ci95],
        "p": found.p,
        "resolution": 100 * found.resolution,
        "questions": [{"question": name, "contribution": 100 * value} for name, value in found.questions],
    }


def _known_json(known: Known) -> dict[str, Any]:
    return {**asdict(known), "id": known.id, "gain": 100 * known.gain, "se": 100 * known.se}


def _report_json(found: Report) -> dict[str, Any]:
    plain = ("run", "seeds", "betas", "environments", "questions", "candidates", "cut", "unmeasured", "reserve")
    saved = asdict(found.saved)
    return {
        **{name: getattr(found, name) for name in plain},
        "champion": _known_json(found.champion),
        "best": _known_json(found.best),
        "corrected": 100 * found.corrected,
        "versus": [
            {
                "role": versus.role,
                "id": versus.id,
                **difference_json(versus.difference),
                "corrected": 100 * versus.corrected,
                "chosen_p": versus.chosen_p,
                "better": versus.better,
            }
            for versus in found.versus
        ],
        "by_environment": [{"environment": e, "gain": 100 * g, "se": 100 * s} for e, g, s in found.by_environment],
        "saved": {**saved, **{key: _percent(saved[key]) for key in ("value", "ci95", "reached", "accuracy")}},
        "within": [_known_json(known) for known in found.within],
        "looks": [asdict(entry) for entry in found.looks],
    }


def _percent(value: Any) -> Any:
    if value is None:
        return None
    return [100 * end for end in value] if isinstance(value, tuple) else 100 * value


def _reserved_json(found: Reserved) -> dict[str, Any]:
    rows = [{"environment": e, "beta": b, "accuracy": 100 * a, "tokens": t} for e, b, a, t in found.curve]
    versus = [
        {"role": v.role, "id": v.id, **difference_json(v.difference), "level": v.level, "better": v.better}
        for v in found.versus
    ]
    own = {name: getattr(found, name) for name in ("questions", "times", "programs", "searched_by")}
    return {**own, "versus": versus, "curve": rows}
