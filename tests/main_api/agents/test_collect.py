from main_api.agents.collect import Collected
from main_api.events import Event, ReasoningDelta, StepStarted


def test_the_reasoning_of_two_steps_is_parted() -> None:
    collected = Collected()
    events: list[Event] = [
        StepStarted(1),
        ReasoningDelta("I need the "),
        ReasoningDelta("calculator."),
        StepStarted(2),
        ReasoningDelta("I can answer now."),
    ]
    for event in events:
        collected.add(event)
    assert collected.reasoning == "I need the calculator.\nI can answer now."
