"""Sessions: requests that belong together, and what answered the first of them."""

from runtime.sessions.book import Sessions
from runtime.sessions.identity import SESSION_HEADERS, named_session, said_session
from runtime.sessions.session import Bound, Session

__all__ = ["SESSION_HEADERS", "Bound", "Session", "Sessions", "named_session", "said_session"]
