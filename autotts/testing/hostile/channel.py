"""Programs that lie to the host, or bury it."""

from __future__ import annotations

from autotts.testing.hostile._attack import (
    CPU_LIMIT,
    CRASHED,
    HARMLESS,
    MEMORY_LIMIT,
    POLICY,
    Attack,
    controller,
    group,
)

__all__ = ["CHANNEL"]

OUTPUT = ("OutputLimit",)
REFUSED = ("InadmissibleAction",)
SCHEDULE = ("InvalidSchedule",)
_WRITE = "import os\n"
_FRAME = (
    "import os, struct\ndef frame(payload, kind=0): os.write(3, struct.pack('<IB', len(payload), kind) + payload)\n"
)


def _answer(name: str, lines: str, outcomes: tuple[str, ...] = REFUSED) -> Attack:
    """An answer that is none."""
    source = controller(body=lines)
    return Attack("result channel", name, source, outcomes, outcomes)


def _schedule(name: str, value: str, outcomes: tuple[str, ...] = SCHEDULE) -> Attack:
    """A schedule that is none."""
    source = controller().replace('{"n": 2 + 6 * beta}', value)
    return Attack("result channel", name, source, outcomes, outcomes)


CHANNEL = (
    *group(
        "result channel",
        [
            ("garbage", _WRITE + "os.write(3, b'GET / HTTP/1.1\\r\\n\\r\\n')", POLICY, OUTPUT),
            ("a frame of unknown kind", _FRAME + "frame(b'x', 9)", POLICY, OUTPUT),
            ("a length of 4 GiB", _WRITE + "os.write(3, b'\\xff\\xff\\xff\\xff\\0')", POLICY, OUTPUT),
            ("half a frame, and gone", _WRITE + "os.write(3, b'\\x10\\0\\0\\0\\0abc')\nos._exit(0)", POLICY, CRASHED),
            ("a second word of readiness", _FRAME + "frame(b'', 2)", POLICY, OUTPUT),
            ("a forged outcome", _FRAME + 'frame(b\'{"outcome": "ok"}\', 1)', POLICY, OUTPUT),
            ("an outcome of no form", _FRAME + "frame(b'[' * 10000, 1)", POLICY, OUTPUT),
            ("an outcome of 20 KiB", _FRAME + "frame(b'x' * 20000, 1)", POLICY, OUTPUT),
            ("knobs that are none", _FRAME + "frame(b'[1, 2, 3]')", POLICY, OUTPUT),
            (
                "knobs of no size",
                _FRAME + "frame(b'[{\"n\": 1e999}, {\"n\": NaN}, {\"n\": ' + b'9' * 400 + b'}]')",
                POLICY,
                OUTPUT,
            ),
            (
                "knobs without number",
                _FRAME + "import json\nframe(json.dumps([{f'k{i}': 0 for i in range(10**5)}] * 3).encode())",
                POLICY,
                OUTPUT,
            ),
            ("knobs without end", _FRAME + "frame(b'[' * 100000)", POLICY, OUTPUT),
            ("one giant message", _FRAME + "frame(b'x' * (80 << 20))", POLICY, (*OUTPUT, *MEMORY_LIMIT)),
            ("a flood", _FRAME + "while True: frame(b'x' * 100000)", POLICY, OUTPUT),
            ("a flood of nothing", _FRAME + "while True: frame(b'')", POLICY, (*OUTPUT, *CPU_LIMIT)),
            (
                "byte by byte, for hours",
                _FRAME
                + "import time\nos.write(3, struct.pack('<IB', 1 << 20, 0))\nwhile True:\n    os.write(3, b' ')\n    time.sleep(0.05)",
                POLICY,
                ("WallTimeout",),
            ),
            ("knobs of 60 MB", _FRAME + "frame(b'[' + b'{},' * (20 << 20) + b'{}]')", POLICY, (*OUTPUT, *MEMORY_LIMIT)),
            ("closes it", _WRITE + "os.close(3)", POLICY, CRASHED),
            (
                "reads the host's words first",
                _WRITE + "os.read(3, 1)",
                POLICY,
                (*CRASHED, *OUTPUT, "WallTimeout", "CpuLimit"),
            ),
            ("floods standard output", _WRITE + "while True: os.write(1, b'x' * 4096)", POLICY, CPU_LIMIT),
        ],
    ),
    Attack(
        "result channel",
        "forged results",
        controller(top=_FRAME.strip(), body="frame(struct.pack('<q', 1) * 5000)"),
        POLICY,
        OUTPUT,
    ),
    Attack(
        "result channel",
        "a batch of 2 MB for the referee",
        controller(
            top=_FRAME.strip(),
            body="if type(episode._source).__name__ == 'HostSource': frame(struct.pack('<4i', 0, 2, 1, 1) * (2 << 16))",
        ),
        POLICY,
        OUTPUT,
    ),
    Attack(
        "result channel",
        "a batch byte by byte",
        controller(
            top=_FRAME.strip() + "\nimport time",
            body="while type(episode._source).__name__ == 'HostSource':\n    os.write(3, b'\\x10')\n    time.sleep(0.05)",
        ),
        POLICY,
        (*OUTPUT, "WallTimeout"),
    ),
    _answer("no answer that was shown", "return 'a0'"),
    _answer("a number", "episode.branch()\nreturn 0"),
    _answer("true", "return True"),
    _answer("a list of all answers", "b = episode.branches(4)\nreturn episode.probe(b)"),
    _answer("an object", "return object()"),
    _answer("the episode", "return episode"),
    _answer("a function", "return solve"),
    _answer("128 MiB", "return 'x' * (1 << 27)", (*REFUSED, *MEMORY_LIMIT)),
    _answer("bytes", "return b'a0'"),
    _answer(
        "equal to everything",
        "class A:\n    def __eq__(self, other): return True\n    def __hash__(self): return hash('a0')\nreturn A()",
    ),
    _answer(
        "a text equal to everything",
        "class A(str):\n    def __eq__(self, other): return True\n    def __hash__(self): return hash('a0')\nepisode.probe(episode.branch())\nreturn A('zzz')",
    ),
    _answer(
        "a text that loops when compared",
        "class A(str):\n    def __eq__(self, other):\n        while True: pass\n    def __hash__(self): return hash('a0')\nreturn A('a0')",
        (*REFUSED, *CPU_LIMIT),
    ),
    _answer(
        "looped representation",
        "class A:\n    def __repr__(self):\n        while True: pass\nreturn A()",
        (*REFUSED, *CPU_LIMIT),
    ),
    _answer(
        "a representation that leaves",
        "class A:\n    def __repr__(self): raise SystemExit\nreturn A()",
        (*REFUSED, *CRASHED),
    ),
    _answer("a generator", "yield 1", (*REFUSED,)),
    _schedule("not a number", "{'n': float('nan')}"),
    _schedule("infinity", "{'n': float('inf') * beta}"),
    _schedule("a number past all floats", "{'n': 10**400}"),
    _schedule("a number too long to write", "{'n': 10**10000}", (*SCHEDULE, *CRASHED)),
    _schedule("more knobs than are kept", "{f'k{i}': 0 for i in range(10**4)}"),
    _schedule("a text", "{'n': '4'}"),
    _schedule("no dict", "[('n', 4)]"),
    _schedule("nothing", "None"),
    _schedule("a dict of its own", "D(n=4)\nclass D(dict): pass"),
    _schedule("a number of its own", "{'n': N(4)}\nclass N(float):\n    def __float__(self): return 4.0"),
    _schedule("a name that is none", "{'n': 4, 'x y': 1}"),
    _schedule("rises and falls", "{'n': 4 + 4 * (beta - 0.5) ** 2}"),
    _schedule("other knobs at other β", "{'n': 4} if beta < 0.5 else {'n': 4, 'm': 1}"),
    _schedule(
        "an argument that it keeps", "{'n': 2 + 6 * beta, 'm': len(seen.append(1) or seen) * 0.0}\nseen = []", HARMLESS
    ),
)
