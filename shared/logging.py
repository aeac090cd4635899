"""Structured logs: one JSON object a line on stderr, with the request id, from our code and from libraries alike."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.request_id import current_request_id
from shared.without import without

with without("rich"):
    import structlog

Logger = structlog.typing.FilteringBoundLogger


_TRACEBACKS = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""Without the values of local variables: credentials and prompts are among them."""


def configure_logging(*, service: str, level: str) -> None:
    """Route structlog and the standard library's loggers to one JSON stream; `service` names the process."""

    def stamp(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        event["request_id"] = current_request_id()
        event["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return event

    processors: list[structlog.typing.Processor] = [
        stamp,
        structlog.processors.add_log_level,
        structlog.processors.ExceptionRenderer(_TRACEBACKS),
    ]
    numeric_level = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*processors, structlog.processors.JSONRenderer(serializer=_dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(numeric_level),
        logger_factory=structlog.BytesLoggerFactory(file=sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(numeric_level, logging.WARNING), force=True)


def get_logger(name: str) -> Logger:
    """Return a logger whose lines carry `component: name`."""
    return structlog.get_logger(component=name)  # `logger` would collide with a parameter of structlog's own


def _dumps(event: Any, **_: Any) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:  # half a surrogate pair, a huge integer: a log line must not fail what it tells of
        return json.dumps(event, default=str, skipkeys=True).encode()
