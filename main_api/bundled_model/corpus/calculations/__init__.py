"""Expressions as people type them, as the calculator gets them, and what they come to."""
