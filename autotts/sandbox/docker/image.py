"""The sandbox's image, named by the hash of all that goes into it, and built when the engine does not have it."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from autotts.errors import SandboxError

__all__ = ["BASE_VARIABLE", "ensure_image", "image_name"]

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1]
REPOSITORY = "autotts-sandbox"
REQUIREMENTS = ("RestrictedPython", "greenlet", "numpy")
"""What the code in the container imports, in the host's versions."""

BASE_VARIABLE = "AUTOTTS_DOCKER_BASE"
"""Environment variable that names the image to build on; the official Python of the host's minor version else."""


def _base() -> str:
    return os.environ.get(BASE_VARIABLE) or f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"


def _files() -> dict[str, bytes]:
    """Path in the build's context → content; everything but the environments that are no code."""
    files = {
        "Dockerfile": (HERE / "Dockerfile").read_bytes(),
        "requirements.txt": "".join(f"{name}=={version(name)}\n" for name in REQUIREMENTS).encode(),
    }
    for path in sorted(PACKAGE.rglob("*.py")):
        files[f"autotts/{path.relative_to(PACKAGE).as_posix()}"] = path.read_bytes()
    return files


def _name(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256(_base().encode())
    for path, content in files.items():
        digest.update(f"\0{path}\0{len(content)}\0".encode() + content)
    return f"{REPOSITORY}:{digest.hexdigest()[:16]}"


def image_name() -> str:
    """Repository and tag of the image that this version of AutoTTS runs in."""
    return _name(_files())


def ensure_image(client: Any, notice: Callable[[str], None]) -> str:
    """The image's name, once the engine has it.

    Args:
        client: the engine's.
        notice: told, in a line, when it has to be built.

    Raises:
        SandboxError: it cannot be built.
    """
    import docker

    files = _files()
    name = _name(files)
    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        notice(f"building the sandbox's image {name} on {_base()}, once …")
    else:
        return name
    try:
        client.images.build(
            fileobj=_tar(files), custom_context=True, tag=name, buildargs={"BASE": _base()}, rm=True, forcerm=True
        )
    except (docker.errors.BuildError, docker.errors.APIError) as error:
        raise SandboxError(
            f"the sandbox's image cannot be built on {_base()}: {str(error)[:500]}; where it cannot be pulled, name an "
            f"image with Python and pip in {BASE_VARIABLE} (docs/sandbox.md)"
        ) from error
    return name


def _tar(files: dict[str, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        # Folders by name: those that an engine makes up may be readable by its own user only.
        for folder in sorted({parent for path in files for parent in PurePosixPath(path).parents[:-1]}):
            entry = tarfile.TarInfo(str(folder))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return buffer
