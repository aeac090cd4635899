"""`python -m cli`: what the `twinport` launcher runs."""

from cli.app import main

main()
