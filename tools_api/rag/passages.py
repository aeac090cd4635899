"""The text of a passage as an encoder sees it: whoever embeds passages uses this, with the title that the parser gave.

It stands with the parsers because chunks are counted with it inside the sandbox.
"""

from tools_api.rag.parsing.inside.passages import embedded_text

__all__ = ["embedded_text"]
