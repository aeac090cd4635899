"""Prompts are files with strict variables."""

import pytest

from main_api.agents.prompts import AGENT_PROMPTS, PromptError, PromptLibrary
from tests.main_api.agents.fakes import PROMPTS

TOOL = {"name": "t", "arguments": "a, b", "description": "d", "schema": "{}"}


def library(folder, text, variables=("who",)):
    (folder / "p.md").write_text(text, encoding="utf-8")
    return PromptLibrary(folder, declared={"p": frozenset(variables)})


@pytest.mark.parametrize("payload", ["{{7*7}}", "{0.__class__}", "%s", "${x}", "{% raw %}", "{# c #}", "{{ who }}"])
def test_what_is_filled_in_comes_out_literally(tmp_path, payload):
    assert library(tmp_path, "Hello {{ who }}!").render("p", who=payload) == f"Hello {payload}!"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello {{ whom }}", "unknown variable 'whom'"),
        ("Hello", "variable 'who' is missing"),
        ("Hello {{ who", "line 1"),
        ("{% for x in who %}", "line 1"),
    ],
)
def test_a_wrong_file_stops_the_start(tmp_path, text, said):
    with pytest.raises(PromptError, match=said):
        library(tmp_path, text)


def test_a_missing_file_and_one_that_is_not_utf8_stop_the_start(tmp_path):
    with pytest.raises(PromptError, match=r"p\.md is missing"):
        PromptLibrary(tmp_path, declared={"p": frozenset()})
    (tmp_path / "p.md").write_bytes(b"\xff")
    with pytest.raises(PromptError, match="UTF-8"):
        PromptLibrary(tmp_path, declared={"p": frozenset()})


@pytest.mark.parametrize("values", [{}, {"whom": "x"}, {"who": "x", "more": "y"}])
def test_wrong_values_are_an_error(tmp_path, values):
    with pytest.raises(PromptError, match="variable"):
        library(tmp_path, "Hello {{ who }}").render("p", **values)


def test_an_unknown_prompt_is_an_error():
    with pytest.raises(PromptError, match="agents/title"):
        PROMPTS.render("agents/titel")


@pytest.mark.parametrize("text", ["{{ who.__class__.__mro__ }}", "{{ who.missing }}"])
def test_a_prompt_cannot_reach_beyond_its_variables(tmp_path, text):
    with pytest.raises(PromptError, match="cannot be rendered"):
        library(tmp_path, text).render("p", who="x")


@pytest.mark.parametrize("name", sorted(AGENT_PROMPTS))
def test_every_prompt_renders_and_ends_cleanly(name):
    values = {variable: [TOOL] if variable == "tools" else "because" for variable in AGENT_PROMPTS[name]}
    text = PROMPTS.render(name, **values)
    assert text == text.strip()
    assert "{{" not in text
    assert "{%" not in text


@pytest.mark.parametrize("style", ["native", "schema", "signature", "text"])
def test_every_react_prompt_marks_results_as_data(style):
    assert "data" in PROMPTS.render(f"agents/react_{style}", tools=[TOOL])
