"""Documents of a collection: taken in, kept as they came, listed and removed. Ingestion makes them searchable."""
