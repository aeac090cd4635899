"""What counts as a local model, what its header says, and how each engine is told to run it. No engine runs here."""

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from main_api.backends.engine import EngineOptions
from main_api.backends.gguf import NotGguf, read_facts
from main_api.backends.local_launch import LlamaCpp, LlamaCppEngine, context_of
from main_api.backends.local_models import BUNDLED_PATH, LocalModel, scan


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(context: int = 4096, template: str = "{{ tools }}", *, vocabulary: int = 3) -> bytes:
    """Return the header of a model without tensors, with all kinds of values that real ones have."""
    entries = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("general.name") + struct.pack("<I", 8) + text("Some Model"),
        text("llama.context_length") + struct.pack("<II", 4, context),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, vocabulary) + text("a") * vocabulary,
        text("tokenizer.ggml.scores") + struct.pack("<IIQ", 9, 6, vocabulary) + b"\0" * 4 * vocabulary,
        text("tokenizer.ggml.add_bos_token") + struct.pack("<I?", 7, True),
        text("tokenizer.chat_template") + struct.pack("<I", 8) + text(template),
    ]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries)


def put(folder: Path, name: str, content: bytes | None = None) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf() if content is None else content)
    return path


def options(tmp_path: Path, **more: int) -> EngineOptions:
    return EngineOptions(log_dir=tmp_path, **more)  # pyright: ignore[reportArgumentType]


def test_header_is_read(tmp_path: Path) -> None:
    facts = read_facts(put(tmp_path, "m.gguf"))
    assert (facts.architecture, facts.name, facts.context_length, facts.calls_tools) == (
        "llama",
        "Some Model",
        4096,
        True,
    )


def test_template_without_tools(tmp_path: Path) -> None:
    assert not read_facts(put(tmp_path, "m.gguf", gguf(template="{{ messages }}"))).calls_tools


def test_bundled_model_says_what_it_is() -> None:
    assert read_facts(BUNDLED_PATH).architecture == "llama"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"GGML" + b"\0" * 100,
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 8, 2**60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 9, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<I", 77),
        gguf()[:-5],
    ],
)
def test_what_is_no_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NotGguf):
        read_facts(put(tmp_path, "m.gguf", content))


@given(st.integers(0, len(gguf()) - 1), st.integers(0, 255))
def test_a_damaged_header_never_ends_in_another_error(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    content = bytearray(gguf())
    content[at] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(content)
    with suppress(NotGguf):
        assert read_facts(path).architecture


def test_names_of_files_and_folders(tmp_path: Path) -> None:
    for name in (
        "plain-q4.gguf",
        "llama3.2-1b/some-file.gguf",
        "qwen/q4.gguf",
        "qwen/q8.gguf",
        "acme/big/big-00001-of-00002.gguf",
        "acme/big/big-00002-of-00002.gguf",
        "vision/model.gguf",
        "vision/mmproj-model.gguf",
        "mlx/not-ours/x.gguf",
    ):
        put(tmp_path, name)
    models = scan(tmp_path, {})
    assert sorted(models) == [
        "acme/big",
        "llama3.2-1b",
        "plain-q4",
        "qwen",
        "qwen/q4",
        "qwen/q8",
        "twinport-tiny",
        "vision",
    ]
    assert models["qwen"] is models["qwen/q4"]
    assert models["acme/big"].size_bytes == 2 * len(gguf())


def test_missing_folder_leaves_the_bundled_model(tmp_path: Path) -> None:
    assert list(scan(tmp_path / "none", {})) == ["twinport-tiny"]


def test_the_bundled_name_is_taken(tmp_path: Path) -> None:
    put(tmp_path, "twinport-tiny.gguf")
    assert scan(tmp_path, {})["twinport-tiny"].path == BUNDLED_PATH


def test_a_bad_file_is_kept_with_its_problem(tmp_path: Path) -> None:
    put(tmp_path, "bad.gguf", b"hello")
    assert scan(tmp_path, {})["bad"].problem is not None


def test_unchanged_files_are_not_read_again_and_changed_ones_are(tmp_path: Path) -> None:
    path = put(tmp_path, "m.gguf")
    first = scan(tmp_path, {})["m"]
    assert scan(tmp_path, {path: first})["m"] is first
    put(tmp_path, "m.gguf", gguf(context=2048))
    assert scan(tmp_path, {path: first})["m"].facts != first.facts


def model_in(folder: Path, context: int = 4096) -> LocalModel:
    put(folder, "m.gguf", gguf(context=context))
    return scan(folder, {})["m"]


def test_context_is_no_longer_than_the_training(tmp_path: Path) -> None:
    assert context_of(model_in(tmp_path, 4096), options(tmp_path, context=8192)) == 4096
    assert context_of(model_in(tmp_path, 4096), options(tmp_path, context=2048)) == 2048
    assert context_of(scan(tmp_path, {})["twinport-tiny"], options(tmp_path)) == 1024


def test_xllamacpp_gets_the_context_of_one_slot(tmp_path: Path) -> None:
    argv = LlamaCpp().spec("local/m", model_in(tmp_path), options(tmp_path, slots=4, threads=3)).launch.argv
    assert argv[1:3] == ("-m", "main_api.backends.engines.llamacpp_child")
    pairs = dict(zip(argv[3::2], argv[4::2], strict=True))
    assert (pairs["--slots"], pairs["--context"], pairs["--threads"], pairs["--alias"]) == ("4", "4096", "3", "local/m")


def test_capabilities_follow_the_template_and_the_engine(tmp_path: Path) -> None:
    native = model_in(tmp_path)
    put(tmp_path, "plain.gguf", gguf(template="x"))
    plain = scan(tmp_path, {})["plain"]
    assert LlamaCpp().capabilities(native, options(tmp_path)).tool_mode == "native"
    assert LlamaCpp().capabilities(plain, options(tmp_path)).tool_mode == "json_schema"
    limited = LlamaCpp(engine="llama-cpp-python").capabilities(native, options(tmp_path))
    assert (limited.tool_mode, limited.json_schema, limited.multiple_choices) == ("text", False, False)


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("llama-server", ["--ctx-size", "16384", "--parallel", "4", "--jinja", "--no-slots", "--host", "127.0.0.1"]),
        ("llama-cpp-python", ["llama_cpp.server", "--n_ctx", "4096", "--interrupt_requests", "false"]),
    ],
)
def test_foreign_engines_get_their_own_flags_and_no_key(
    tmp_path: Path, engine: LlamaCppEngine, expected: list[str]
) -> None:
    spec = LlamaCpp(engine=engine).spec("local/m", model_in(tmp_path), options(tmp_path, slots=4))
    assert "{port}" in spec.launch.argv
    assert set(expected) <= set(spec.launch.argv)
    assert not [word for word in spec.launch.argv if "api" in word.lower() and "key" in word.lower() and "=" in word]
