"""A run as pictures: charts for papers, the figures behind them, and one page of HTML that needs nothing else."""

from autotts.ui.report_page.charts import charts
from autotts.ui.report_page.page import Again, page
from autotts.ui.report_page.style import Chart, as_csv, rendered

__all__ = ["Again", "Chart", "as_csv", "charts", "page", "rendered"]
