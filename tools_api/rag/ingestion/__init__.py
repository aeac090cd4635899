"""Makes documents searchable: parse, embed, index, each step durable, so that a killed process goes on where it was.

The catalogue knows how every document stands and is the queue; DBOS runs a workflow for each batch taken from it.
"""
