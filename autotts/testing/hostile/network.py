"""Programs that talk to somebody."""

from __future__ import annotations

from autotts.testing.hostile._attack import CRASHED, POLICY, Attack, group

__all__ = ["NETWORK"]

WALLS = "SIGSYS|PermissionError|OSError|Errno"


def _row(name: str, lines: str) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    return name, lines, POLICY, CRASHED


NETWORK: tuple[Attack, ...] = (
    *group(
        "network",
        [
            _row("a TCP socket", "import socket\nsocket.socket()"),
            _row("a UDP socket", "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)"),
            _row("an IPv6 socket", "import socket\nsocket.socket(socket.AF_INET6)"),
            _row("a Unix socket", "import socket\nsocket.socket(socket.AF_UNIX)"),
            _row("a pair of sockets", "import socket\nsocket.socketpair()"),
            _row("listens", "import socket\nsocket.create_server(('127.0.0.1', 0))"),
            _row("an abstract socket", "import socket\nsocket.socket(socket.AF_UNIX).bind('\\0autotts-jail-was-open')"),
            _row("netlink", "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
            _row("its name", "import socket\nsocket.gethostname()\nsocket.socket()"),
        ],
        WALLS,
        works=True,
    ),
    *group(
        "network",
        [
            _row("a raw socket", "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
            _row(
                "asks for a name",
                "import socket\nsocket.getaddrinfo('localhost', 80)\nsocket.create_connection(('localhost', 80))",
            ),
            _row("the engine's socket", "import socket\nsocket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')"),
            _row("a web page", "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/')"),
            _row("virtual machine's socket", "import socket\nsocket.socket(40, socket.SOCK_STREAM)"),
            _row("a socket out of a descriptor", "import socket\nsocket.socket(fileno=3).getpeername()"),
        ],
        WALLS + "|ImportError|ModuleNotFoundError",
    ),
)
