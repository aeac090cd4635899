"""Durable workflows by DBOS: what a killed process had begun is taken up by the next one, at its last finished step.

DBOS keeps which workflows are under way, and what their steps returned, in SQLite or PostgreSQL; it polls there from
threads of its own and never touches our event loop. One process of ours runs one set of workflows. Everything here
blocks and is called in threads, and importing DBOS takes a second: so that happens in `launch`.
"""

import errno
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from shared.errors import StorageFull, Unavailable
from shared.logging import get_logger

if TYPE_CHECKING:
    from dbos import WorkflowStatus

T = TypeVar("T")

NAME = "rag_batch"
_VERSION = "rag-1"
"""Of the steps' order and results, not of the code: what an earlier release has begun is finished by the next one."""
_KEPT = timedelta(hours=24)
_LAST_WORDS_S = 5.0
_THREADS = 32


class Stopped(BaseException):
    """Ends a workflow because the process ends. Not an `Exception`, which DBOS would take for the workflow's result."""


class Steps:
    """Runs the steps of one workflow: a step that was finished before a crash is not run again."""

    def run(self, name: str, step: Callable[[], T]) -> T:
        """Run a step, or return what it returned before. What it returns is written down as JSON.

        Raises what the step raises, and `StorageFull`, `Unavailable` if nothing can be written down.
        """
        from dbos import DBOS

        with translated_failures():
            return DBOS.run_step({"name": name}, step)


@dataclass(frozen=True, slots=True)
class WorkflowOptions:
    """`url` is the database's, as SQLAlchemy has it. `installation` tells those apart that share one: 8 letters."""

    url: str
    installation: str


@contextmanager
def translated_failures() -> Generator[None]:
    """Turn what is wrong with the workflows' database into `StorageFull` or `Unavailable`."""
    try:
        yield
    except (OSError, sqlite3.Error, SQLAlchemyError) as error:
        cause = getattr(error, "orig", None) or error
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL or getattr(cause, "errno", None) == errno.ENOSPC:
            raise StorageFull("The disk for jobs is full; free some space.") from error
        raise Unavailable("The database of jobs cannot be used now.") from error


class _Json:
    """How DBOS writes down arguments and results. Its own way is pickle, which we never read from a disk."""

    def serialize(self, data: Any) -> str:
        return orjson.dumps(data, default=repr).decode()

    def deserialize(self, serialized_data: str) -> Any:
        return orjson.loads(serialized_data)

    def name(self) -> str:
        return "twinport_json"


class Workflows:
    """Runs `body` for each workflow, in a thread. `launch` before use, `close` in the end."""

    def __init__(self, options: WorkflowOptions, body: Callable[[str, str, Steps], None]) -> None:
        self._options = options
        self._body = body
        self._workflow: Callable[[str, str], None] | None = None
        self._running = 0
        self._idle = threading.Condition()

    def launch(self) -> dict[str, str]:
        """Start, and take up what was under way; return the ids of those workflows and what they are about.

        Raises `StorageFull`, `Unavailable`; then it can be tried again.
        """
        from dbos import DBOS

        _forward_log()
        with translated_failures():
            try:
                DBOS(config=self._config())  # pyright: ignore[reportArgumentType] -- its own TypedDict, all optional
                self._workflow = DBOS.workflow(name=NAME)(self._function())
                DBOS.launch()
                return self._begun()
            except (OSError, sqlite3.Error, SQLAlchemyError):
                DBOS.destroy(destroy_registry=True)
                raise

    def _begun(self) -> dict[str, str]:
        from dbos import DBOS

        self._forget_old()
        begun = DBOS.list_workflows(
            status=["PENDING", "ENQUEUED"],
            workflow_id_prefix=self.prefix,
            name=NAME,
            load_output=False,
        )
        return {workflow.workflow_id: _subject(workflow) for workflow in begun}

    @property
    def prefix(self) -> str:
        """What the ids of our workflows begin with."""
        return f"bat_{self._options.installation}"

    def start(self, workflow_id: str, subject: str) -> None:
        """Begin a workflow about something; one of the same id is not begun again. Raises as `launch` does."""
        from dbos import DBOS, SetWorkflowID

        if self._workflow is None:
            raise RuntimeError("launch comes first")
        with translated_failures(), SetWorkflowID(workflow_id):
            DBOS.start_workflow(self._workflow, workflow_id, subject)

    def close(self) -> None:
        """Stop. The bodies must be about to end with `Stopped`."""
        from dbos import DBOS

        with self._idle:
            self._idle.wait_for(lambda: not self._running, timeout=_LAST_WORDS_S)
        DBOS.destroy(destroy_registry=True)

    def _function(self) -> Callable[[str, str], None]:
        """Return a plain function: DBOS writes its notes on it."""

        def run(workflow_id: str, subject: str) -> None:
            self._run(workflow_id, subject)

        return run

    def _run(self, workflow_id: str, subject: str) -> None:
        with self._idle:
            self._running += 1
        try:
            self._body(workflow_id, subject, Steps())
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def forget_old(self) -> None:
        """Remove what is known of workflows that ended a day ago. Raises `StorageFull`, `Unavailable`."""
        with translated_failures():
            self._forget_old()

    def _forget_old(self) -> None:
        from dbos import DBOS

        old = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            workflow_id_prefix=self.prefix,
            end_time=(datetime.now(UTC) - _KEPT).isoformat(),
            limit=1000,
            load_input=False,
            load_output=False,
        )
        if old:
            DBOS.delete_workflows([workflow.workflow_id for workflow in old])

    def _config(self) -> dict[str, Any]:
        url = make_url(self._options.url)
        if url.get_backend_name() == "sqlite":
            _prepare_file(Path(url.database or ""))
            url = url.set(drivername="sqlite")
        else:
            url = url.set(drivername="postgresql+psycopg")
        return {
            "name": f"twinport-{self._options.installation}",
            "system_database_url": url.render_as_string(hide_password=False),
            "application_version": _VERSION,
            "executor_id": self._options.installation,
            "serializer": _serializer(),
            "log_level": "WARNING",
            "enable_otlp": False,
            "max_executor_threads": _THREADS,
            "sys_db_pool_size": 5,
        }


def _subject(workflow: "WorkflowStatus") -> str:
    inputs = workflow.input
    return str(inputs["args"][1]) if inputs and len(inputs["args"]) > 1 else ""


def _serializer() -> Any:
    from dbos import Serializer

    return type("Json", (_Json, Serializer), {})()


def _prepare_file(path: Path) -> None:
    """Create the file for our eyes only, and switch it to WAL, which stays: a step costs fewer syncs."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


class _Forward(logging.Handler):
    """Says in our log what DBOS has to say."""

    def emit(self, record: logging.LogRecord) -> None:
        log = get_logger("dbos")
        (log.error if record.levelno >= logging.ERROR else log.warning)("dbos", message=record.getMessage()[:1000])


def _forward_log() -> None:
    """DBOS prints to the console unless its logger has a handler."""
    logger = logging.getLogger("dbos")
    logger.propagate = False
    if not any(isinstance(handler, _Forward) for handler in logger.handlers):
        logger.handlers = [_Forward()]
