"""The Docker backend, as the rest of AutoTTS sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autotts.sandbox.docker.engine import find_engine
from autotts.sandbox.docker.image import ensure_image
from autotts.sandbox.pool import Sandbox

__all__ = ["DockerSandbox"]


class DockerSandbox(Sandbox):
    """A fork server in a container without network, privileges or a writable file, and its children.

    Each child locks itself in there as it does without a container, so that both walls stand.

    Args:
        preload: modules that the server imports before it forks.
        notice: told in a line what takes long.

    Raises:
        SandboxError: from whatever starts the server: no engine answers, or the image cannot be built.
    """

    def __init__(self, preload: Sequence[str] = (), notice: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(preload, notice)

    @property
    def isolation(self) -> str:
        """`docker (strict)`, or `docker (missing inside: …)`."""
        missing = self.missing
        return f"docker (missing inside: {', '.join(missing)})" if missing else "docker (strict)"

    def _server(self) -> tuple[str, str, Sequence[str]]:
        address, client = find_engine()
        try:
            image = ensure_image(client, self._notice)
        finally:
            client.close()
        return "autotts.sandbox.docker.outside", "autotts-container", (address, image, *self._preload)
