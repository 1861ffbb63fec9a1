"""For those who extend AutoTTS: what a sandbox of their own has to stand, as tests to inherit.

`autotts.testing.sandbox.SandboxConformance` runs every program of `autotts.testing.hostile`; it needs pytest.
"""
