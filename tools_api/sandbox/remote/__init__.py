"""The level `remote`: runs happen in a runner elsewhere (`tools_api/runner`), reached over HTTP with a key."""

from tools_api.sandbox.remote.level import Remote, RemoteOptions

__all__ = ["Remote", "RemoteOptions"]
