"""What the workers of a gateway, and several machines, know together for a while: sessions, answers at hand, what rests."""

from runtime.shared.base import News, SharedError, SharedState

__all__ = ["News", "SharedError", "SharedState"]
