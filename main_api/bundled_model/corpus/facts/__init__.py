"""Invented facts: templates from `phrases/facts/`, what fills them, what stands beside them, and numbered sources."""
