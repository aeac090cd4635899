"""The kinds of requests: one module each, with the functions of `ask.Kind`."""
