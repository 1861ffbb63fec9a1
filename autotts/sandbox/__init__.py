"""The sandbox: a policy for what a program may say, a jail for what its process may do. Knows nothing of TTS."""

from autotts.sandbox.backends import SandboxFactory, find_sandbox
from autotts.sandbox.client import Child, Limits
from autotts.sandbox.facades import Importer
from autotts.sandbox.jail import Channel
from autotts.sandbox.policy import compile_program
from autotts.sandbox.pool import Sandbox

__all__ = ["Channel", "Child", "Importer", "Limits", "Sandbox", "SandboxFactory", "compile_program", "find_sandbox"]
