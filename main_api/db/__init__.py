"""The database: connections, transactions, migrations. What is stored belongs to each slice's `tables.py`."""

from main_api.db.database import Database as Database
from main_api.db.failures import DatabaseTooNew as DatabaseTooNew
from main_api.db.record import Record as Record
from main_api.db.record import UtcDateTime as UtcDateTime
