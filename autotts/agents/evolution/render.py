"""From a genome to a program that could have been written by hand."""

from __future__ import annotations

import re
import textwrap

from autotts.agents.evolution.genome import SLOTS, Genome, Span
from autotts.agents.evolution.mechanisms import Knob, Mechanism, mechanism

__all__ = ["render"]

WEIGHTED_VOTE = '''
def weighted_vote(answers: list[Any], weights: list[float]) -> tuple[Any, float, float]:
    """The answer of most weight, its weight and the runner-up's; unparsed answers abstain."""
    totals: dict[Any, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer != UNPARSED:
            totals[answer] = totals.get(answer, 0.0) + weight
    if not totals:
        return None, 0.0, 0.0
    leader = max(totals, key=lambda answer: totals[answer])
    return leader, totals.pop(leader), max(totals.values(), default=0.0)
'''

LEAD_CONFIDENCE = '''
def lead_confidence(n1: float, n2: float) -> float:
    """Probability that the leader is ahead of the runner-up: the normal approximation, as votes have weights."""
    return 0.5 + 0.5 * math.erf((n1 - n2) / math.sqrt(2 * (n1 + n2 + 1)))
'''


def render(genome: Genome) -> str:
    """The program's source, ending in a line end."""
    parts = {slot: mechanism(slot, gene.variant) for slot, gene in genome.genes}
    needs = {need for part in parts.values() for need in part.needs}
    weighted = "weighted_vote" in needs
    if weighted:
        needs.add("UNPARSED")
        if "confidence" in needs:
            needs |= {"lead_confidence", "math"}
    body = _solve(parts, needs).replace(
        "CONFIDENCE", "lead_confidence(n1, n2)" if weighted else "majority_confidence(n1, n2)"
    )
    # Votes that nothing looks at get no name.
    for name in ("n2", "n1"):
        if len(re.findall(rf"\b{name}\b", body)) == 1:
            body = re.sub(rf"\b{name}\b", "_", body)
    counted = "leader, _, _, _ = vote("
    if counted in body:
        body = body.replace(counted, "leader = majority(")
    helpers = (WEIGHTED_VOTE if weighted else "") + ("\n" if weighted and "lead_confidence" in needs else "")
    helpers += LEAD_CONFIDENCE if "lead_confidence" in needs else ""
    head = f'"""{_docstring(parts)}\n"""\n\n{_imports(needs, " vote(" in body)}'
    text = f"{head}\nMAX_STEPS = 400\n\n\n{_schedule(genome)}\n\n{body}"
    return text + ("\n" + helpers if helpers else "")


def _docstring(parts: dict[str, Mechanism]) -> str:
    """What sets the program apart, in a line; then all of it."""
    headline = ", ".join(parts[slot].phrase for slot in ("opening", "depth", "stopping")).capitalize() + "."
    slots = ("reading", "widening", "pruning", "giving_up", "vote")
    details = "; ".join(parts[slot].phrase for slot in slots if parts[slot].phrase)
    return "\n".join([headline, "", *textwrap.wrap(f"{details.capitalize()}.", 116)])


def _imports(needs: set[str], votes: bool) -> str:
    names = ["majority"]
    if votes:
        names.append("vote")
    if "confidence" in needs and "lead_confidence" not in needs:
        names.append("majority_confidence")
    if "UNPARSED" in needs:
        names.append("UNPARSED")
    names.sort(key=lambda name: (not name.isupper(), name))
    lines = ["import math\n"] if "math" in needs else []
    lines += ["from collections import Counter\n"] if "Counter" in needs else []
    lines += ["from statistics import median\n"] if "median" in needs else []
    return "".join(lines) + "from typing import Any\n\nfrom autotts.toolkit import " + ", ".join(names) + "\n"


def _schedule(genome: Genome) -> str:
    lines = []
    for slot in SLOTS:
        gene = genome.gene(slot)
        for knob in mechanism(slot, gene.variant).knobs:
            lines.append(f'        "{knob.name}": {_formula(knob, gene.span(knob.name))},\n')
    return (
        "def schedule(beta: float) -> dict[str, float]:\n"
        '    """More β, more budget."""\n'
        "    return {\n" + "".join(lines) + "    }\n"
    )


def _number(value: float) -> str:
    text = f"{value:.4g}"
    return text if "e" not in text else repr(value)


def _formula(knob: Knob, span: Span) -> str:
    low, high = span.at0, span.at1
    if low == high:
        return _number(low)
    if knob.kind == "geometric":
        factor = "" if low == 1 else f"{_number(low)} * "
        return f"round({factor}{_number(high / low)}**beta)"
    sign, slope = ("+", high - low) if high > low else ("-", low - high)
    line = f"{_number(low)} {sign} {_number(slope)} * beta"
    return f"round({line})" if knob.kind == "count" else line


def _indent(block: str, levels: int) -> str:
    return "".join("    " * levels + line + "\n" for line in block.splitlines())


def _solve(parts: dict[str, Mechanism], needs: set[str]) -> str:
    setup = 'limit = min(int(knobs["limit"]), episode.max_branches)\n'
    opening = f"episode.branches({parts['opening'].loop})\n"
    setup += f"opened = len({opening.strip()})\n" if "opened" in needs else opening
    setup += "ballots: list[Any] = []\n"
    setup += "lengths: list[int] = []\n" if "lengths" in needs else ""
    setup += "counted = 0\nleader: Any = None\n"
    for slot in SLOTS[1:]:
        setup += parts[slot].setup + "\n" if parts[slot].setup else ""

    loop = "done = episode.finished_branches[counted:]\ncounted += len(done)\nballots += episode.probe(done)\n"
    loop += "lengths += [episode.depth(i) for i in done]\n" if "lengths" in needs else ""
    if "latest" in needs:
        loop += "live = episode.active\nlatest = dict(zip(live, episode.probe(live), strict=True))\n"
    elif "watched" in needs:
        loop += "episode.probe(episode.active)\n"
    reading = parts["reading"].loop
    if reading:
        loop += reading + "\n"
        loop += "lengths += [episode.depth(i) for i in steady]\n" if "lengths" in needs else ""
        loop += _refresh()
    for slot in ("vote", "stopping", "giving_up"):
        loop += parts[slot].loop + "\n" if parts[slot].loop else ""
    if parts["pruning"].loop:
        loop += parts["pruning"].loop + "\n"
    if parts["widening"].loop:
        loop += parts["widening"].loop + "\n"
    loop += "if not episode.active and counted == len(episode.finished_branches):\n    break\n"
    if "live" in parts["depth"].needs:
        loop += "live = episode.active\n"
    loop += parts["depth"].loop + "\n"
    step = "step" if "step" in needs else "_"
    return (
        "def solve(episode: Any, knobs: dict[str, float]) -> Any:\n"
        '    """Each turn of the loop counts, decides, and advances branches by one wave."""\n'
        + _indent(setup, 1)
        + f"    for {step} in range(MAX_STEPS):\n"
        + _indent(loop, 2)
        + "    return leader if leader is not None else majority(episode.probe(episode.active))\n"
    )


def _refresh() -> str:
    """A branch that has voted is no longer live."""
    return "live = episode.active\nlatest = {i: latest[i] for i in live}\n"
