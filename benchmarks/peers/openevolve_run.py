"""OpenEvolve with a model and an evaluator that take no time; run by a Python that has it installed.

    PYTHON openevolve_run.py FOLDER ITERATIONS WORKERS

Configured for the least overhead: the model is a hook in the worker (no HTTP), whole programs and no diffs, one
island, no cascade, no artifacts, no prompt log, no checkpoints, quiet logs. The moment of every evaluation goes to
FOLDER/moments.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from pathlib import Path
from typing import Any

from openevolve import OpenEvolve
from openevolve.config import Config, LLMModelConfig

HERE = Path(__file__).resolve().parent


class Instant:
    """Answers at once with a program that nobody had before."""

    def __init__(self, _: Any) -> None:
        self.model = "instant"
        self.last_usage = None
        self._random = random.SystemRandom()  # workers are forks: a common seed would give both the same programs

    async def generate_with_context(self, *_: Any, **__: Any) -> str:
        return f"```python\ndef value():\n    return {self._random.random()}\n```"


def main(folder: Path, iterations: int, workers: int) -> None:
    os.environ |= {"ENABLE_ARTIFACTS": "false", "PEER_MOMENTS": str(folder / "moments")}
    program = folder / "initial.py"
    program.write_text("def value():\n    return 0.0\n", encoding="utf-8")
    config = Config(language="python", log_level="ERROR", diff_based_evolution=False, checkpoint_interval=10**9)
    config.llm.models = [LLMModelConfig(name="instant", init_client=Instant)]
    config.llm.evaluator_models = config.llm.models
    config.prompt.include_artifacts = False
    config.database.num_islands = 1
    config.database.log_prompts = False
    config.evaluator.cascade_evaluation = False
    config.evaluator.enable_artifacts = False
    config.evaluator.parallel_evaluations = workers
    search = OpenEvolve(str(program), str(HERE / "instant_evaluator.py"), config, str(folder / "out"))
    logging.disable(logging.WARNING)
    asyncio.run(search.run(iterations=iterations))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
