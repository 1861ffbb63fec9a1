"""Programs that attack the sandbox, and how each has to end."""
