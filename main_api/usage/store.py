"""The SQL of usage."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from main_api.usage.record import UsageTotals
from main_api.usage.tables import UsageRow


async def insert(db: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; those that are there already are left as they are."""
    connection = await db.connection()
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    await connection.execute(dialect.insert(UsageRow).on_conflict_do_nothing(index_elements=["id"]), list(rows))


async def totals(db: AsyncSession, user_id: int) -> list[UsageTotals]:
    """Return the sums of a user by model, in the order of the models' names."""
    statement = (
        select(
            UsageRow.model,
            func.sum(UsageRow.calls),
            func.sum(UsageRow.prompt_tokens),
            func.sum(UsageRow.completion_tokens),
        )
        .where(UsageRow.user_id == user_id)
        .group_by(col(UsageRow.model))
        .order_by(col(UsageRow.model))
    )
    return [
        UsageTotals(model=model, calls=int(calls), prompt_tokens=int(prompt), completion_tokens=int(completion))
        for model, calls, prompt, completion in (await db.exec(statement)).all()
    ]
