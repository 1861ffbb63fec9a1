"""The fork server inside one hardened container: the same children, behind the engine's walls as well."""

from autotts.sandbox.docker.backend import DockerSandbox

__all__ = ["DockerSandbox"]
