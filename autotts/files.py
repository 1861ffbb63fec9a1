"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from secrets import token_hex

from autotts.errors import InputError

__all__ = ["must_be_free", "write_whole"]


def must_be_free(path: Path) -> None:
    """Refuse to replace a file.

    Raises:
        InputError: there is one.
    """
    if path.exists():
        raise InputError(f"{path}: exists already; give another path, or replace it with --force")


def write_whole(files: Mapping[Path, Iterable[bytes]], *, folders: bool = False) -> None:
    """Write files; they get their names when all of them are on the disk, and where one cannot be written, none does.

    Args:
        files: what is written, in parts, by path.
        folders: make the folders that they are in.

    Raises:
        InputError: one cannot be written.
    """
    written: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in files.items():
            if folders:
                path.parent.mkdir(parents=True, exist_ok=True)
            # A name that nobody can have put there, so that two writers do not meet and no link is followed.
            part = path.with_name(f".{path.name}.{token_hex(4)}.part")
            with part.open("xb") as file:
                written[path] = part
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
        for path, part in written.items():
            part.replace(path)
    except OSError as error:
        if blocked := next((folder for folder in path.parents if folder.exists() and not folder.is_dir()), None):
            raise InputError(f"{path}: cannot be written, as {blocked} is a file; choose another folder") from error
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); give another path") from error
    finally:
        for part in written.values():
            part.unlink(missing_ok=True)
