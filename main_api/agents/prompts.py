"""The prompts, loaded from files once at start and checked: a typo in a file or a variable stops the start, not a run.

Jinja2 rather than `string.Template`: the list of tools needs a loop, and `$` and braces in prompts stay as they are.
Values are never read as templates, so `{{7*7}}` or `${x}` in a user's text come out as they went in; the sandbox keeps
an edited prompt file from reaching beyond its variables.
"""

from collections.abc import Mapping
from pathlib import Path

import jinja2
from jinja2 import StrictUndefined, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

AGENT_PROMPTS: Mapping[str, frozenset[str]] = {
    "agents/react_native": frozenset({"tools"}),
    "agents/react_schema": frozenset({"tools"}),
    "agents/react_signature": frozenset({"tools"}),
    "agents/react_text": frozenset({"tools"}),
    "agents/final_answer": frozenset({"reason"}),
    "agents/title": frozenset(),
    "small/plan": frozenset({"tools"}),
    "small/router": frozenset(),
    "small/synthesis": frozenset(),
    "small/extract": frozenset(),
    "small/summary": frozenset(),
    "small/question": frozenset(),
    "small/slide": frozenset(),
}
"""The prompts of this slice and the variables that each must use. Those below `small/` are for models that can copy and
choose but hardly invent, like the bundled one: code counts slides, questions and citations, the model fills in one."""


class PromptError(Exception):
    """A prompt file is missing or wrong, or code asks for it wrongly; the message says which and how."""


class PromptLibrary:
    """All prompts of a folder, by path without `.md`. Raises `PromptError` for anything that is not as declared."""

    def __init__(self, folder: Path, *, declared: Mapping[str, frozenset[str]] = AGENT_PROMPTS) -> None:
        self._declared = declared
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        self._templates = {name: _load(environment, folder, name, declared[name]) for name in declared}

    def render(self, name: str, **values: object) -> str:
        """Return the prompt `name` with exactly its variables filled in."""
        if name not in self._templates:
            raise PromptError(f"There is no prompt {name!r}; there are: {', '.join(sorted(self._templates))}.")
        if values.keys() != self._declared[name]:
            raise PromptError(f"Prompt {name}: {_difference(self._declared[name], frozenset(values))}.")
        try:
            return self._templates[name].render(values).strip()
        except (jinja2.TemplateError, TypeError) as error:
            raise PromptError(f"Prompt {name} cannot be rendered: {error}.") from error


def _load(environment: jinja2.Environment, folder: Path, name: str, variables: frozenset[str]) -> jinja2.Template:
    path = folder / f"{name}.md"
    try:
        source = path.read_text(encoding="utf-8")
        tree = environment.parse(source)
    except FileNotFoundError:
        raise PromptError(f"The prompt file {name}.md is missing in {folder}.") from None
    except UnicodeDecodeError:
        raise PromptError(f"The prompt file {name}.md is not UTF-8.") from None
    except jinja2.TemplateSyntaxError as error:
        raise PromptError(f"The prompt file {name}.md, line {error.lineno}: {error.message}.") from None
    used = frozenset(meta.find_undeclared_variables(tree))
    if used != variables:
        raise PromptError(f"The prompt file {name}.md: {_difference(variables, used)}.")
    return environment.from_string(source)


def _difference(declared: frozenset[str], given: frozenset[str]) -> str:
    problems = [f"unknown variable {name!r}" for name in sorted(given - declared)]
    problems += [f"variable {name!r} is missing" for name in sorted(declared - given)]
    return ", ".join(problems)
