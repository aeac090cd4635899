"""Both agents on the bundled model in its real engine, with the two tools of the first version, done in small.

The answers are greedy and pinned: another model file means running them again.
"""

import contextlib
import io
import math

import aiohttp
import pytest

from main_api.agents.chat import ChatAgent
from main_api.agents.collect import collect
from main_api.agents.protocol import Budget, Task
from main_api.agents.titles import clean_title, title_messages
from main_api.events import TextDelta
from shared.tools_contract import Source, ToolError, ToolResult
from tests.main_api.agents.bundled import BundledModel, start_engine
from tests.main_api.agents.fakes import CALCULATOR, PROMPTS, PYTHON, RAG, FakeToolbox, answer, react

pytestmark = pytest.mark.slow

BOTH = (CALCULATOR, PYTHON)
DECLINED = "I am a small built-in model and cannot answer that by myself. Connect a bigger model, or let me use a tool."
IDENTITY = (
    "I am Twinport, the small built-in model. I can pick tools, calculate and search with them, but I know nothing "
    "about the world by myself."
)
HELLO = "Hello! How can I help you?"
NO_TOOL = "I have no tool for that."


@pytest.fixture(scope="module")
def engine():
    return start_engine()


@pytest.fixture
async def model(engine):
    # the engine's server closes idle connections without a word, so none is used twice
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield BundledModel(engine, session)


async def compute(name, arguments):
    """Do what the two tools do; only expressions and programs of this file ever get here."""
    if name == "calculator":
        value = eval(arguments["expression"].replace("% of", "/ 100 *"), {"sqrt": math.sqrt})  # noqa: S307
        return ToolResult(ok=True, content=str(int(value) if value == int(value) else value))
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(arguments["code"], {})  # noqa: S102
    except (NameError, SyntaxError, ValueError) as error:
        return ToolResult(ok=False, error=ToolError(type="error", message=str(error)))
    return ToolResult(ok=True, content=printed.getvalue())


def asking(model, request, tools=BOTH, **fields):
    messages = [{"role": "user", "content": request}]
    return Task(**{"messages": messages, "model": model, "toolbox": FakeToolbox(compute), "tools": tools, **fields})


@pytest.mark.parametrize("tools", [BOTH, (CALCULATOR,)], ids=["both", "alone"])
@pytest.mark.parametrize(
    ("request_", "expression", "said"),
    [
        ("Calculate 12 * 7", "12 * 7", "The result is 84."),
        ("What is 15% of 80?", "15% of 80", "The result is 12."),
        ("Calculate 2 + sqrt(144)", "2 + sqrt(144)", "The result is 14."),
        ("What is 1249 * 37?", "1249 * 37", "The result is 46213."),
        ("Compute (83 - 19) / 4", "(83 - 19) / 4", "The result is 16."),
        ("Calculate 10 / 4", "10 / 4", "The result is 2.5."),
        ("Calculate 7 * (3 + 4)", "7 * (3 + 4)", "The result is 49."),
    ],
)
async def test_react_calculates(model, tools, request_, expression, said):
    the_task = asking(model, request_, tools)
    collected = await answer(the_task)
    assert the_task.toolbox.calls == [("calculator", {"expression": expression})]
    assert (collected.text, collected.finish_reason) == (said, "stop")
    assert collected.reasoning == "This is a calculation, so I use calculator.\nI can answer now."


@pytest.mark.parametrize("tools", [BOTH, (PYTHON,)], ids=["both", "alone"])
@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("Sum 4, 461, 9, 1 and 125 with Python", "The program printed: 600"),
        ("Run python code to check if 97 is prime", "The program printed: True"),
        ("Filter the even numbers out of 1, 2, 3, 4, 5, 6 with Python", "The program printed: [2, 4, 6]"),
        ("Use python to find the largest of 4, 9, 2", "The program printed: 9"),
        ("Run python code to sort the numbers 5, 3, 9, 1", "The program printed: [1, 3, 5, 9]"),
        ("use python to sum the numbers from 1 to 100", "The program printed: 5050"),
        ("Calculate the first 10 Fibonacci numbers", "The program printed: 0, 1, 1, 2, 3, 5, 8, 13, 21, 34"),
    ],
)
async def test_react_runs_python(model, tools, request_, said):
    the_task = asking(model, request_, tools)
    collected = await answer(the_task)
    assert [name for name, _ in the_task.toolbox.calls] == ["python_coder"]
    assert (collected.text, collected.finish_reason) == (said, "stop")


HANDBOOK = [
    (
        "handbook.pdf, p. 12, part 3 — Security > Login",
        "People authenticate with a user name and a password of at least 12 characters. After five failed attempts the "
        "account is locked for 15 minutes. User authentication is handled by the login service.",
    ),
    (
        "handbook.pdf, p. 20, part 9 — Holidays",
        "Every employee has 30 days of holiday a year. Unused days may be carried over until 31 March.",
    ),
    (
        "office.md, part 2 — Rooms",
        "The large meeting room is called Aurora and has twelve seats. The kitchen is cleaned on Fridays.",
    ),
]


async def search(name, _arguments):
    """Find the whole of a small handbook, in the words of the tool `rag`."""
    assert name == "rag"
    passages = [f"[{number}] {where}\n{text}" for number, (where, text) in enumerate(HANDBOOK, 1)]
    sources = tuple(Source(title=where) for where, _ in HANDBOOK)
    return ToolResult(ok=True, content="\n\n".join(passages), sources=sources)


@pytest.mark.parametrize("tools", [(RAG,), (CALCULATOR, PYTHON, RAG)], ids=["alone", "among_others"])
@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (
            "Find information about user authentication in the docs",
            "People authenticate with a user name and a password of at least 12 characters. [1]",
        ),
        (
            "How many days of holiday do I have according to the handbook?",
            "Every employee has 30 days of holiday a year. [1]",
        ),
        ("Find in the docs when the kitchen is cleaned", "The kitchen is cleaned on Fridays. [1]"),
        (
            "What happens after five failed attempts according to the handbook?",
            "After five failed attempts the account is locked for 15 minutes. [1]",
        ),
    ],
)
async def test_react_finds_in_documents_and_cites(model, tools, request_, said):
    toolbox = FakeToolbox(search)
    collected = await answer(asking(model, request_, tools, toolbox=toolbox))
    assert [name for name, _ in toolbox.calls] == ["rag"]
    assert (collected.text, collected.finish_reason) == (said, "stop")
    cited, *others = [source.title for source in collected.sources]
    assert said.removesuffix(" [1]") in dict(HANDBOOK)[cited]
    assert {cited, *others} == {where for where, _ in HANDBOOK}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("Hello", HELLO),
        ("Who are you?", IDENTITY),
        ("Thank you!", "You are welcome!"),
        ("Write a poem about love", NO_TOOL),
    ],
)
async def test_react_answers_without_tools(model, request_, said):
    the_task = asking(model, request_)
    assert (await answer(the_task)).text == said
    assert the_task.toolbox.calls == []


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("Hello", HELLO),
        ("Who are you?", IDENTITY),
        ("My name is Ada", "Nice to meet you, Ada!"),
        ("Write a poem about love", DECLINED),
    ],
)
async def test_chat_answers(model, request_, said):
    collected = await collect(ChatAgent(Budget()).run(asking(model, request_, options={"temperature": 0})))
    assert (collected.text, collected.finish_reason) == (said, "stop")


async def test_the_answer_is_streamed_in_pieces(model):
    events = [event async for event in react().run(asking(model, "Who are you?"))]
    assert len([event for event in events if isinstance(event, TextDelta)]) > 20


async def test_a_failing_tool_is_tried_twice_and_then_told(model):
    async def fail(_name, _arguments):
        return ToolResult(ok=False, error=ToolError(type="x", message="the sandbox is off"))

    toolbox = FakeToolbox(fail)
    collected = await answer(asking(model, "Calculate 12 * 7", toolbox=toolbox))
    assert len(toolbox.calls) == 2
    assert collected.text == "The tool calculator failed: the sandbox is off"


async def test_a_follow_up_goes_on_from_the_request_before_and_older_ones_are_not_shown(model):
    history = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": HELLO},
        {"role": "user", "content": "Calculate 12 * 7"},
        {"role": "assistant", "content": "The result is 84."},
        {"role": "user", "content": "and times 3?"},
    ]
    collected = await answer(asking(model, "", messages=history))
    assert collected.text == "The result is 252."
    assert [notice.code for notice in collected.notices] == ["history_trimmed"]


async def test_a_spent_budget_ends_with_the_result_so_far(model):
    collected = await answer(asking(model, "Calculate 12 * 7"), steps=1)
    assert (collected.text, collected.finish_reason) == ("The result is 84.", "length")


async def test_prompts_stay_below_550_tokens(model):
    await answer(asking(model, "Use python to sum the numbers 4, 461, 9, 1, 125"))
    assert max(model.prompt_tokens) < 550


@pytest.mark.parametrize(
    ("request_", "said", "title"),
    [("Calculate 12 * 7", "The result is 84.", "12 * 7")],
)
async def test_titles(model, request_, said, title):
    messages = title_messages(PROMPTS, request=request_, answer=said)
    collected = await collect(ChatAgent(Budget()).run(Task(messages=messages, model=model, options={"temperature": 0})))
    assert clean_title(collected.text, request=request_) == title
