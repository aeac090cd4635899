"""The tools API: everything that touches the outside world or runs untrusted input."""
