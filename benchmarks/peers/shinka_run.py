"""ShinkaEvolve with a model and an evaluator that take no time; run by a Python that has it installed.

    PYTHON shinka_run.py FOLDER ITERATIONS WORKERS

Configured for the least overhead: whole programs and no diffs, one island, one model and no bandit, no embeddings, no
novelty judge, no recommendations, quiet logs. The moment of every evaluation goes to FOLDER/moments.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

from shinka.core import EvolutionConfig, ShinkaEvolveRunner
from shinka.database import DatabaseConfig
from shinka.launch import LocalJobConfig

HERE = Path(__file__).resolve().parent
INITIAL = "# EVOLVE-BLOCK-START\ndef value():\n    return 0.0\n# EVOLVE-BLOCK-END\n"


def main(folder: Path, iterations: int, workers: int) -> None:
    os.environ["PEER_MOMENTS"] = str(folder / "moments")
    command = [sys.executable, str(HERE / "instant_model.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as model:
        assert model.stdout is not None
        port = model.stdout.readline().strip()
        evolution = EvolutionConfig(
            task_sys_msg="Improve the program.",
            patch_types=["full"],
            patch_type_probs=[1.0],
            num_generations=iterations + 1,  # the initial program is the first
            llm_models=[f"local/instant@http://127.0.0.1:{port}/v1"],
            llm_dynamic_selection=None,
            meta_rec_interval=None,
            embedding_model=None,
            max_novelty_attempts=1,
            results_dir=str(folder / "out"),
        )
        runner = ShinkaEvolveRunner(
            evo_config=evolution,
            job_config=LocalJobConfig(eval_program_path=str(HERE / "instant_evaluator.py")),
            db_config=DatabaseConfig(db_path="programs.sqlite", num_islands=1),
            banner_style="minimal",
            verbose=False,
            max_evaluation_jobs=workers,
            init_program_str=INITIAL,
        )
        logging.disable(logging.WARNING)
        runner.run()
        model.communicate()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
