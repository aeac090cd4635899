"""Delete a collection, or one document that is named as people name it."""

from cli.api_client import CallFailed
from cli.rag_client import RagClient
from cli.signed_in import SignedIn


def remove(server: SignedIn[RagClient], collection: str, document: str | None) -> None:
    """Delete it. Raises `CallFailed`."""
    if document is None:
        server.call(lambda: server.client.delete_collection(collection))
        return
    known = server.call(lambda: server.client.documents(collection))
    found = [str(one["id"]) for one in known if document in {one.get("name"), one.get("id")}]
    if not found:
        raise CallFailed(f"There is no document {document!r} in {collection}; `rag list {collection}` names them.")
    server.call(lambda: server.client.delete_document(collection, found[0]))
