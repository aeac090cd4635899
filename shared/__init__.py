"""What both processes share: errors, the tools contract, HTTP, logging, request ids, secrets. Imports nothing of ours."""
