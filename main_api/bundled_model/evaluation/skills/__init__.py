"""Every file of a set, and who judges its items."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from main_api.bundled_model.evaluation import sets
from main_api.bundled_model.evaluation.asking import Asker
from main_api.bundled_model.evaluation.judgement import Judgement
from main_api.bundled_model.evaluation.skills import calling, native, observing, planning, reading, talking, writing


@dataclass(frozen=True, slots=True)
class Skill:
    """`item` is the shape of a line, `judge` asks the model about one and says what came of it."""

    item: type[sets.Item]
    judge: Callable[[Asker, Any], Awaitable[list[Judgement]]]


SKILLS: Final[Mapping[str, Skill]] = {
    "calls": Skill(sets.CallItem, calling.calls),
    "unknown_tools": Skill(sets.UnknownToolItem, calling.unknown_tools),
    "follow_ups": Skill(sets.FollowUpItem, calling.follow_ups),
    "native": Skill(sets.NativeItem, native.native),
    "observations": Skill(sets.ObservationItem, observing.observations),
    "failures": Skill(sets.FailureItem, observing.failures),
    "plans": Skill(sets.PlanItem, planning.plans),
    "router": Skill(sets.RouterItem, planning.router),
    "extraction": Skill(sets.ExtractionItem, reading.extraction),
    "summaries": Skill(sets.SummaryItem, reading.summaries),
    "out_of_scope": Skill(sets.RequestItem, talking.out_of_scope),
    "in_scope": Skill(sets.RequestItem, talking.in_scope),
    "small_talk": Skill(sets.SmallTalkItem, talking.small_talk),
    "titles": Skill(sets.TitleItem, writing.titles),
    "topics": Skill(sets.TopicItem, writing.topics),
}
