"""Programs that attack the sandbox, in groups, and how each has to end."""

from autotts.testing.hostile._attack import Attack
from autotts.testing.hostile.channel import CHANNEL
from autotts.testing.hostile.cheats import CHEATS
from autotts.testing.hostile.compiler import COMPILER
from autotts.testing.hostile.cpu import CPU
from autotts.testing.hostile.escapes import CLASS_STYLE, ESCAPES
from autotts.testing.hostile.files import FILES
from autotts.testing.hostile.language import LANGUAGE
from autotts.testing.hostile.leaving import LEAVING
from autotts.testing.hostile.memory import MEMORY
from autotts.testing.hostile.network import NETWORK
from autotts.testing.hostile.others import OTHERS
from autotts.testing.hostile.processes import PROCESSES
from autotts.testing.hostile.stack import STACK

__all__ = ["ATTACKS", "Attack"]

ATTACKS: tuple[Attack, ...] = (
    *CPU,
    *COMPILER,
    *MEMORY,
    *STACK,
    *LEAVING,
    *PROCESSES,
    *FILES,
    *NETWORK,
    *OTHERS,
    *CHANNEL,
    *LANGUAGE,
    *ESCAPES,
    *CLASS_STYLE,
    *CHEATS,
)
"""All of them."""
