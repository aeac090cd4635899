"""Invented facts in natural sentences, each with the questions that it answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """`sentence` ends with its full stop. `question` is a direct question without its mark, `noun` what is asked for as
    a noun phrase ("the opening year of Harrow Bridge"), `subject` the thing that it is about, `attribute` what is
    said of it. `field` tells facts of the world from facts of an organisation's documents."""

    sentence: str
    question: str
    noun: str
    subject: str
    attribute: str
    field: str
