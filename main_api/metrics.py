"""`/metrics`: counters and histograms in Prometheus' text form, for this machine and for admins."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from main_api.auth.deps import Auth, CallingClient, credentials_in
from shared.errors import PermissionDenied

router = APIRouter(tags=["health"])


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, client: CallingClient, auth: Auth) -> Response:
    """Show the metrics to a scraper on this machine, or to an admin's key: labels name models and tools."""
    if not client.is_local:  # behind a proxy on this machine, everyone's connection comes from here
        authorization, api_key = credentials_in(request.scope)
        principal = await auth.authenticate(authorization=authorization, api_key=api_key)
        if not principal.is_admin:
            raise PermissionDenied("The metrics are for admins, and for scrapers on this machine.")
    return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})
