"""What both processes share: errors, the tools contract, HTTP, logging, ids, secrets. Imports nothing of ours."""
