"""Strings are read from JSON while it is written."""

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from main_api.agents.json_strings import JsonStringReader

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def strings(value, path=()):
    if isinstance(value, str):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {place: text for key, item in items for place, text in strings(item, (*path, key)).items()}


def read(text, cuts):
    reader, found, ended = JsonStringReader(), {}, []
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    for start, end in pairwise(places):
        for piece in reader.feed(text[start:end]):
            assert piece.path not in ended
            found[piece.path] = found.get(piece.path, "") + piece.text
            if piece.last:
                ended.append(piece.path)
    assert set(ended) == set(found)
    return found


@settings(deadline=None)  # the machine may be busy
@given(
    st.dictionaries(st.text(max_size=5), VALUES, max_size=4),
    st.booleans(),
    st.sampled_from([None, 2]),
    st.lists(st.integers(0, 300), max_size=40),
    st.sampled_from(["", "```json\n", "Sure: "]),
)
def test_any_object_in_any_chunks_gives_its_strings(value, ascii_only, indent, cuts, before):
    text = before + json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert read(text, cuts) == strings(value)


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet='{}[]":,\\ud8dcabc0123 \n', max_size=200))
def test_nonsense_never_raises(text):
    reader = JsonStringReader()
    for char in text:
        for piece in reader.feed(char):
            piece.text.encode()


def test_a_pair_of_surrogates_may_be_cut_anywhere():
    text = '{"a": "x\\ud83d\\ude00y"}'
    for cut in range(len(text)):
        assert read(text, [cut]) == {("a",): "x😀y"}


def test_half_a_pair_becomes_a_replacement_character():
    for written in ("\\ud83d", "\\ude00", "\\ud83dx", "\\ud83d\\n"):
        found = read(f'{{"a": "{written}"}}', range(40))
        found[("a",)].encode()
        assert "\ufffd" in found[("a",)]


def test_text_after_the_object_is_not_read():
    assert read('{"a": "b"} {"a": "c"}', range(30)) == {("a",): "b"}
