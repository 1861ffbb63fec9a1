"""An evaluator for the peers: runs a program that returns a number, as isolated as the peer has it, and notes when.

A peer either calls `evaluate`, or runs this file with `--program_path PROGRAM --results_dir FOLDER`.
"""

from __future__ import annotations

import json
import os
import sys
import time

MOMENTS = os.open(os.environ["PEER_MOMENTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def evaluate(program_path: str) -> dict[str, float]:
    namespace: dict[str, object] = {}
    with open(program_path, encoding="utf-8") as file:  # noqa: PTH123  pathlib takes its time to import
        exec(compile(file.read(), program_path, "exec"), namespace)
    score = float(namespace["value"]())
    os.write(MOMENTS, f"{time.monotonic()}\n".encode())
    return {"combined_score": score}


def write(folder: str, name: str, what: object) -> None:
    with open(f"{folder}/{name}.json", "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(what, file)


if __name__ == "__main__":
    _, _, program, _, results = sys.argv
    metrics = evaluate(program)
    write(results, "metrics", metrics)
    write(results, "correct", {"correct": True, "error": None})
