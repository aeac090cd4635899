"""The limits there are, and the error when one is used up."""

import math
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute

from shared.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of hits in a sliding window.

    `window` is its word in answers. `exact` remembers the time of every hit; otherwise two counters approximate the
    window, which needs the same memory for 600 hits as for 6.
    """

    name: str
    window: str
    item: RateLimitItem
    exact: bool = True


# Portal document, "Rate Limits": authentication endpoints 5 per 15 minutes, registration 3 per hour, per address
SIGN_IN_PER_ADDRESS = Limit("sign-in", "15 minutes", RateLimitItemPerMinute(5, 15))
SIGN_UP_PER_ADDRESS = Limit("sign-up", "hour", RateLimitItemPerHour(3))
# A refresh token cannot be guessed; this stops floods, and leaves room for the tabs of a browser
REFRESH_PER_ADDRESS = Limit("refresh", "15 minutes", RateLimitItemPerMinute(30, 15))
# Patience does not pay either: per account *and* address, so that nobody can lock out somebody else
SIGN_IN_PER_ACCOUNT_AND_ADDRESS = Limit("sign-in-account", "day", RateLimitItemPerDay(20))


def per_minute(amount: int) -> Limit:
    """Return the limit of the hot path: requests of one API key or account."""
    return Limit("requests", "minute", RateLimitItemPerMinute(amount), exact=False)


def limit_exceeded(limit: Limit, free_in_s: float) -> RateLimited:
    """Make the error in the portal document's words and shape; `retry_after` is whole seconds, at least one."""
    retry_after = min(max(1, math.ceil(free_in_s)), limit.item.get_expiry())
    amount, current = limit.item.amount, limit.item.amount + 1
    return RateLimited(
        f"Rate limit exceeded for {limit.window}. Limit: {amount}, Current: {current}",
        retry_after=retry_after,
        details={"limitType": limit.window, "limit": amount, "current": current, "retryAfter": retry_after},
    )
