"""A process that reads answers with math-verify: a text in, an answer out, a JSON value a line each.

    python -m autotts.live._math SECONDS

The answer is text, null for none, and false where the text takes longer than so much CPU time. It limits itself by
signals, which are a main thread's alone, and a text may make it hang or fill the memory.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys

MOST_BYTES = 4 * 2**30


class _Late(BaseException):
    """Time is over; nothing in a library that catches exceptions is meant to catch this."""


def main() -> None:
    """Answer until the input ends."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    kinds = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer

    def answer(text: str) -> str | bool | None:
        try:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            try:
                found = parse(text, kinds, extraction_mode="first_match", parsing_timeout=0)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        except _Late:
            return False
        except (Exception, MemoryError):  # whatever a text does to it, it is a text without an answer
            return None
        written = [one for one in found if isinstance(one, str)]
        return written[-1] if written else None

    signal.signal(signal.SIGPROF, _late)
    seconds = 60.0
    answer("\\boxed{\\frac{1}{2}}")  # the first one builds tables for all
    seconds = float(sys.argv[1])
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line))) + "\n")
        out.flush()


def _late(_: int, __: object) -> None:
    raise _Late


if __name__ == "__main__":
    main()
