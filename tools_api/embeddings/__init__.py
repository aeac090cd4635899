"""Text to vectors: one encoder for retrieval and `/v1/embeddings`, in a process of its own or behind a remote API."""
