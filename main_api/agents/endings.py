"""What is said without a model when a run ends badly: honest sentences made from the last results of the tools."""

from collections.abc import Sequence

from main_api.agents.observations import Observation, shortened

_LONGEST = 500


def honest_answer(reason: str, observations: Sequence[Observation]) -> str:
    """Compose an answer without the model, from the last results."""
    results = [f"{seen.name}: {shortened(seen.text, _LONGEST)}" for seen in observations[-3:] if seen.text]
    sentence = f"I could not finish this: {reason}."
    if not results:
        return sentence
    return f"{sentence} The last results of the tools were:\n" + "\n".join(f"- {result}" for result in results)


def after_a_loop(observations: Sequence[Observation]) -> str:
    good = [seen for seen in observations if seen.ok]
    if not good:
        return " […] (The model began to repeat itself and was stopped.)"
    last = good[-1]
    return f" […] (The model began to repeat itself. The result of {last.name} was: {shortened(last.text, _LONGEST)})"
