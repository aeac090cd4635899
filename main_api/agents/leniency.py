"""What is forgiven in what a model wrote, wherever it wrote it: spellings of names, JSON that is nearly JSON."""

import re
from typing import Any

import json_repair

_LONGEST_REPAIR = 20_000  # repairing is slow on long texts, and it runs on the event loop


def folded_name(name: str) -> str:
    """Reduce a name to its letters and digits: `functions.Web-Search()` and `web_search` are the same."""
    return re.sub(r"[^a-z0-9]", "", name.casefold().rpartition(".")[2])


def repaired_json(text: str) -> Any:
    """Return what a broken JSON text most likely says; None if it is too long to try or says nothing."""
    if len(text) > _LONGEST_REPAIR:
        return None
    try:
        return json_repair.repair_json(text, return_objects=True, skip_json_loads=True)
    except RecursionError:
        return None
