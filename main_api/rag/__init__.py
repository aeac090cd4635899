"""Documents for people: `/v1/rag/…` of the tools API, relayed with the account of the caller.

The tools API does all the work and keeps everything; here is who is calling, and what of it they may reach.
"""
