"""The search over an archive."""

from autotts.search.account import Account, Budget
from autotts.search.config import Config
from autotts.search.events import (
    CallEnded,
    Event,
    RoundEnded,
    SearchEnded,
    SearchStarted,
    SearchStopping,
    SlotEnded,
    SlotStarted,
    as_json,
)
from autotts.search.listeners import Listeners
from autotts.search.loop import Search
from autotts.search.runs import default_selector, open_run, start_run, unfinished
from autotts.search.spending import Spending, spending
from autotts.search.standing import BASELINES, REFERENCE, Standing

__all__ = [
    "BASELINES",
    "REFERENCE",
    "Account",
    "Budget",
    "CallEnded",
    "Config",
    "Event",
    "Listeners",
    "RoundEnded",
    "Search",
    "SearchEnded",
    "SearchStarted",
    "SearchStopping",
    "SlotEnded",
    "SlotStarted",
    "Spending",
    "Standing",
    "as_json",
    "default_selector",
    "open_run",
    "spending",
    "start_run",
    "unfinished",
]
