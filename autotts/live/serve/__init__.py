"""A controller behind an OpenAI-compatible endpoint, which a user puts in front of a model server."""
