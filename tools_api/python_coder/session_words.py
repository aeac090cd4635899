"""What a model is told of a session: whether its variables live on, in words that it can act on."""

from tools_api.sandbox import Session, SessionEnding

SET_BY_FIRST_CALL = (
    "memory, processes and space for files of a session are those of its first call; another session can have others"
)
_WHY: dict[SessionEnding, str] = {
    "idle": "it was dropped after a while without a call",
    "room": "it was dropped to make room for another one",
    "restless": "it was ended because it would not stand still between calls",
    "ended": "its interpreter ended between two calls",
    "lost": "it ended in its last call",
}


def session_note(session: Session, *, failed: bool) -> str | None:
    """Say what became of the session in the call that it has just done; None if it went on as one would expect."""
    name = session.key.name
    if session.state == "lost":
        return (
            f"The session {name!r} has ended: its variables, imports and functions are lost. The next call with this "
            "name starts a new one; files that were returned stay in the workspace."
        )
    if session.before:
        return (
            f"The session {name!r} is new, the variables of an earlier one are lost: {_WHY[session.before]}. "
            "Define again what you need."
        )
    if failed:
        return f"The session {name!r} lives on: what ran before the error is still defined."
    return (
        f"The session {name!r} is new; variables live on in calls with this name." if session.state == "new" else None
    )
