"""Opens the encoder that the settings ask for."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp

from tools_api.embeddings.local import LocalEncoder
from tools_api.embeddings.options import EncoderOptions
from tools_api.embeddings.protocol import CountingEncoder
from tools_api.embeddings.remote import RemoteEncoder


@asynccontextmanager
async def open_encoder(options: EncoderOptions, http: aiohttp.ClientSession) -> AsyncGenerator[CountingEncoder]:
    """Yield the encoder at once: it loads its models in the background, and says in `status` how far it is."""
    local = LocalEncoder(options)
    try:
        if options.remote is not None:
            yield RemoteEncoder(options.model, options.remote, http, reranker=local)
            return
        if options.preload:
            local.start()
        yield local
    finally:
        await local.aclose()
