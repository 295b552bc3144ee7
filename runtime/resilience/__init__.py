"""What keeps a call from hanging, or from being lost."""

from runtime.resilience.door import Door

__all__ = ["Door"]
