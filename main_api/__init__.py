"""The main API: accounts, sessions, models and agents behind an OpenAI-compatible API."""
