"""Programs that talk to somebody."""

from __future__ import annotations

from autotts.testing.hostile._attack import Attack, group, refused

__all__ = ["NETWORK"]

WALLS = "SIGSYS|PermissionError|OSError|Errno"


NETWORK: tuple[Attack, ...] = (
    *group(
        "network",
        [
            refused("a TCP socket", "import socket\nsocket.socket()"),
            refused("a UDP socket", "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)"),
            refused("an IPv6 socket", "import socket\nsocket.socket(socket.AF_INET6)"),
            refused("a Unix socket", "import socket\nsocket.socket(socket.AF_UNIX)"),
            refused("a pair of sockets", "import socket\nsocket.socketpair()"),
            refused("listens", "import socket\nsocket.create_server(('127.0.0.1', 0))"),
            refused(
                "an abstract socket", "import socket\nsocket.socket(socket.AF_UNIX).bind('\\0autotts-jail-was-open')"
            ),
            refused("netlink", "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
            refused("its name", "import socket\nsocket.gethostname()\nsocket.socket()"),
        ],
        WALLS,
        works=True,
    ),
    *group(
        "network",
        [
            refused("a raw socket", "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
            refused(
                "asks for a name",
                "import socket\nsocket.getaddrinfo('localhost', 80)\nsocket.create_connection(('localhost', 80))",
            ),
            refused(
                "the engine's socket", "import socket\nsocket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')"
            ),
            refused("a web page", "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/')"),
            refused("virtual machine's socket", "import socket\nsocket.socket(40, socket.SOCK_STREAM)"),
            refused("a socket out of a descriptor", "import socket\nsocket.socket(fileno=3).getpeername()"),
        ],
        WALLS + "|ImportError|ModuleNotFoundError",
    ),
)
