"""The charts that a run has figures for."""

from __future__ import annotations

from autotts.search.sampled import Sampled
from autotts.search.summary import Summary
from autotts.ui.report_page.curves import curves, environments, gain
from autotts.ui.report_page.growing import agents, carried, failures, front, hypervolume, lineage
from autotts.ui.report_page.style import Chart

__all__ = ["charts"]


def charts(summary: Summary, found: Sampled | None) -> dict[str, Chart]:
    """The charts of a run by name, in the order in which a page shows them.

    Args:
        summary: the run.
        found: episodes that were played again, None where none were.
    """
    made = [curves(summary)]
    if summary.over:
        made.append(gain(summary))
    made.append(environments(summary))
    if summary.report is not None:
        made.append(carried(summary.report))
    made += [front(summary.growth), hypervolume(summary.growth)]
    if len(summary.spending) > 1:
        made.append(agents(summary.spending))
    if summary.ancestry is not None and len(summary.ancestry.nodes) > 1:
        made.append(lineage(summary.ancestry))
    if found is not None:
        made.append(failures(found))
    return {chart.name: chart for chart in made}
