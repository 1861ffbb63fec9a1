"""The filter, run by an interpreter of classic BPF: what every system call gets, on either architecture."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from autotts.sandbox import seccomp
from autotts.sandbox.seccomp import build_filter

ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386 = 0x40000003
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/aarch64-linux-gnu/include/asm-generic/unistd.h"),
}


def verdict(instructions: bytes, number: int, architecture: int, third: int = 0) -> int:
    """What the kernel would do: classic BPF over struct seccomp_data (number, architecture, pointer, six arguments)."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, 0, 0, third, 0, 0, 0)
    program = [struct.unpack_from("<HBBI", instructions, at) for at in range(0, len(instructions), 8)]
    accumulator, at = 0, 0
    while True:
        code, yes, no, value = program[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return value
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            at += yes if holds else no


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_number_gets_what_the_tables_say(machine: str) -> None:
    made = build_filter(machine)
    assert made is not None
    column = ("x86_64", "aarch64").index(machine)
    allowed = {entry[column] for entry in seccomp._ALLOWED.values()} - {None}
    refused = {entry[column] for entry in seccomp._REFUSED.values()} - {None}
    memory = {entry[column] for entry in seccomp._MEMORY.values()}
    assert not allowed & refused
    for number in range(1024):
        wanted = ALLOW if number in allowed | memory else REFUSE if number in refused else KILL
        assert verdict(made.instructions, number, AUDIT[machine]) == wanted, number
    for number in memory:
        assert verdict(made.instructions, number, AUDIT[machine], third=3) == ALLOW
        assert verdict(made.instructions, number, AUDIT[machine], third=7) == REFUSE


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_other_doors_are_shut(machine: str) -> None:
    made = build_filter(machine)
    assert made is not None
    other = AUDIT["aarch64" if machine == "x86_64" else "x86_64"]
    for number in range(512):
        assert verdict(made.instructions, number, other) == KILL
        assert verdict(made.instructions, number, I386) == KILL
        if machine == "x86_64":
            assert verdict(made.instructions, 0x40000000 | number, AUDIT[machine]) == KILL


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_numbers_are_the_kernels(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"the kernel's headers for {machine} are not installed ({HEADERS[machine]})")
    told = HEADERS[machine].read_text()
    numbers = {name: int(value) for name, value in re.findall(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)", told)}
    numbers.setdefault("newfstatat", numbers.get("fstatat", -1))
    column = ("x86_64", "aarch64").index(machine)
    for table in (seccomp._ALLOWED, seccomp._REFUSED, seccomp._MEMORY):
        for name, entry in table.items():
            assert entry[column] == numbers.get(name), name


def test_an_architecture_without_a_table_has_no_filter() -> None:
    assert build_filter("riscv64") is None
