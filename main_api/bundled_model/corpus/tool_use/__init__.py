"""Requests in a conversation with tools: how many, which tools are offered, which is right, and what fails."""
