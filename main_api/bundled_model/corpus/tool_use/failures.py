"""What tools return when they fail."""

from random import Random

from main_api.bundled_model.corpus.language.phrases import phrases


def error(rng: Random) -> str:
    """Return a failed result: "Error: " and the reason, on one line."""
    numbers = {"n": str(rng.randint(2, 120)), "status": rng.choice(("500", "502", "503", "504", "520"))}
    return f"Error: {phrases('errors').say(rng, 'reason', **numbers)}"


def failed(tool: str, observation: str) -> str:
    """Return the sentence that says so to the person who asked."""
    return f"The tool {tool} failed: {observation.removeprefix('Error: ')}"
