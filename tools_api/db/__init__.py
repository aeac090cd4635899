"""The tools API's database. How one works: `shared/database`; what is stored belongs to each slice's `tables.py`."""

from shared.database import DatabaseTooNew as DatabaseTooNew
from shared.database import UtcDateTime as UtcDateTime
from tools_api.db.database import MIGRATIONS as MIGRATIONS
from tools_api.db.database import Database as Database
from tools_api.db.database import Record as Record
