"""A database: connections, transactions, migrations. Each process brings its own tables and revisions."""

from shared.database.database import Database as Database
from shared.database.failures import DatabaseTooNew as DatabaseTooNew
from shared.database.migrate import Migrations as Migrations
from shared.database.record import UtcDateTime as UtcDateTime
from shared.database.record import named_metadata as named_metadata
