"""The programs that run as children of the API, one model each. Nothing here is imported by the API itself."""
