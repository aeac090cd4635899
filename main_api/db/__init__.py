"""The main API's database. How one works: `shared/database`; what is stored belongs to each slice's `tables.py`."""

from main_api.db.database import MIGRATIONS as MIGRATIONS
from main_api.db.database import Database as Database
from main_api.db.database import Record as Record
from shared.database import DatabaseTooNew as DatabaseTooNew
from shared.database import UtcDateTime as UtcDateTime
