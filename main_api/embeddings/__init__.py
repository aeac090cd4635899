"""`POST /v1/embeddings`: vectors of texts, by the encoder of the tools API or by a provider."""
