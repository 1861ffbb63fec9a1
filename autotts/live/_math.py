"""A process that reads answers with math-verify: a text in, an answer out, a JSON value a line each.

It limits its own time by signals, which are a main thread's alone, and a text may make it hang or fill the memory.
"""

from __future__ import annotations

import json
import logging
import resource
import sys

SECONDS = 5
MOST_BYTES = 4 * 2**30


def main() -> None:
    """Answer until the input ends."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    kinds = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    for line in sys.stdin:
        try:
            found = parse(json.loads(line), kinds, extraction_mode="first_match", parsing_timeout=SECONDS)
        except (Exception, MemoryError):  # whatever a text does to it, it is a text without an answer
            found = []
        written = [one for one in found if isinstance(one, str)]
        out.write(json.dumps(written[-1] if written else None) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
