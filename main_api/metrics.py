"""`/metrics`: counters and histograms in Prometheus' text form, for this machine and for admins."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from main_api.auth.deps import Auth, credentials_in
from shared.errors import PermissionDenied

_LOOPBACK = {"127.0.0.1", "::1"}

router = APIRouter(tags=["health"])


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, auth: Auth) -> Response:
    """Show the metrics to a scraper on this machine, or to an admin's key: labels name models and tools."""
    if request.client is None or request.client.host not in _LOOPBACK:
        authorization, api_key = credentials_in(request.scope)
        principal = await auth.authenticate(authorization=authorization, api_key=api_key)
        if not principal.is_admin:
            raise PermissionDenied("The metrics are for admins, and for scrapers on this machine.")
    return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})
