"""What keeps a call from hanging, or from being lost; and what is remembered of providers that failed."""

from runtime.resilience.backoff import backoff_s
from runtime.resilience.door import Door
from runtime.resilience.health import Health, Hindrance, Ticket
from runtime.resilience.judgement import Judgement, Step, judge

__all__ = ["Door", "Health", "Hindrance", "Judgement", "Step", "Ticket", "backoff_s", "judge"]
