"""A wrong setting is named, with what it accepts."""

import pytest

from config import SettingsError, load_settings


@pytest.mark.parametrize(
    ("name", "value", "accepts"),
    [
        ("main_api_port", "x", "integer"),
        ("llm_backend", "foo", "'ollama'"),
        ("database_url", "mysql://x", "postgresql://"),
        ("database_url", "nonsense", "postgresql://"),
        ("database_url", "postgresql://u:p@h:notaport/x", "5432"),
        ("redis_url", "foo", "redis://"),
        ("trusted_proxies", "abc", "10.0.0.1"),
        ("prompts_dir", "/nonexistent", "no folder"),
        ("ollama_base_url", "localhost", "http://"),
        ("openai_compatible_base_url", "localhost:8000", "http://"),
        ("openai_compatible_name", "ollama", "lower-case word"),
        ("cors_origins", "foo", "https://app.example"),
        ("tools_host", "ftp://x", "http://"),
        ("jwt_secret_key", "short", "32 characters"),
        ("tools_service_keys", "a:b:c", "32 characters"),
    ],
)
def test_a_wrong_value_names_the_variable_and_what_it_accepts(name: str, value: str, accepts: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**{name: value})
    assert str(caught.value).startswith(f"{name.upper()}: ")
    assert accepts in str(caught.value)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://u:p@h/x", "postgresql+asyncpg://u:p@h/x"),
        ("postgresql://h/x", "postgresql+asyncpg://h/x"),
        ("sqlite:////tmp/x.db", "sqlite+aiosqlite:////tmp/x.db"),
    ],
)
def test_a_database_url_gets_the_driver_that_we_use(url: str, driver: str) -> None:
    assert load_settings(database_url=url).async_database_url == driver


def test_several_wrong_values_are_all_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(tools_port="x", redis_url="y")
    assert {line.partition(":")[0] for line in str(caught.value).splitlines()} == {"TOOLS_PORT", "REDIS_URL"}
