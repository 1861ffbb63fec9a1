"""A class-style controller as the paper's repository has them: adaptive consistency."""

from abc import ABC, abstractmethod
from collections import Counter
from typing import List, Optional

import numpy as np
from scipy.stats import beta as beta_distribution


class Controller(ABC):
    def __init__(self, config: Optional[dict] = None):
        self.config = config or {}
        self.trace: List[str] = []

    @abstractmethod
    def solve(self, question):
        ...

    def __call__(self, question):
        return self.solve(question)


class OptimalController(Controller):
    def __init__(self, config: Optional[dict] = None):
        super().__init__(config)
        self.max_samples = int(np.round(64 ** float(self.config["beta"])))

    def _confidence(self, answers: List[str]) -> float:
        counts = [n for _, n in Counter(answers).most_common(2)] + [0]
        return 1 - beta_distribution.cdf(0.5, counts[0] + 1, counts[1] + 1)

    def solve(self, question):
        answers: List[str] = []
        for _ in range(self.max_samples):
            try:
                answers.append(question.get_new_branch_final_answer())
            except IndexError:
                break
            self.trace.append(f"{len(answers)} of {self.max_samples}: {answers[-1]}")
            if len(answers) > 1 and self._confidence(answers) > 0.95:
                break
        question.get_seq_and_total_tokens()
        return Counter(answers).most_common(1)[0][0]


if __name__ == "__main__":
    print(OptimalController({"beta": 0.5}))
