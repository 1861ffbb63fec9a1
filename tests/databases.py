"""Databases for tests: SQLite files, and a PostgreSQL server of our own where its programs are installed."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

USER = "autotts"


def binaries() -> Path | None:
    """The folder with Debian's newest server programs, or with those on the path."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    found = debian[-1] if debian else Path(shutil.which("postgres") or "/none")
    return found.parent if (found.parent / "initdb").exists() else None


class Server:
    """A cluster in a folder of its own, heard on a socket in it alone; it refuses root, so root becomes nobody."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Not where TMPDIR says: a socket's path may have a hundred bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="autotts-pg-", dir="/tmp"))
        self._as = {"user": "nobody", "extra_groups": ()} if os.geteuid() == 0 else {}
        if self._as:
            shutil.chown(self.folder, "nobody")
        self._numbers = itertools.count()
        # Sorting words as people do: what SQLite does not, and what the archive may not depend on.
        order = ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8"]
        options = ["-U", USER, "--auth=trust", "--encoding=UTF8", *order, "--no-sync"]
        made = subprocess.run(
            [programs / "initdb", "-D", self.folder / "data", *options],
            capture_output=True, text=True, cwd="/", **self._as,  # type: ignore[call-overload]
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [self._programs / "postgres", "-D", self.folder / "data", "-k", self.folder, "-h", "", "-F"]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._as)
        engine = sa.create_engine(self.url("postgres"))
        deadline = time.monotonic() + 60
        while True:
            try:
                engine.connect().close()
                break
            except sa.exc.OperationalError:
                assert time.monotonic() < deadline and self._process.poll() is None, "the server does not start"
                time.sleep(0.05)
        engine.dispose()

    def end(self, how: int = signal.SIGQUIT) -> None:
        """End it at once: SIGQUIT cuts every connection; what was committed stays."""
        self._process.send_signal(how)
        self._process.wait()

    def close(self) -> None:
        """End it, and leave nothing."""
        self.end()
        shutil.rmtree(self.folder)
        (self.folder.parent / f"{self.folder.name}.log").unlink()

    def url(self, database: str) -> str:
        """URL of a database, with the driver that this package comes with."""
        return f"postgresql+psycopg://{USER}@/{database}?host={self.folder}"

    def database(self) -> str:
        """URL of a new empty database, as a user would write it."""
        name = f"test_{next(self._numbers)}"
        engine = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name).replace("+psycopg", "")
