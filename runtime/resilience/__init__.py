"""What keeps a call from hanging, or from being lost; and what is remembered of providers that failed."""

from runtime.resilience.backoff import backoff_s
from runtime.resilience.door import Door
from runtime.resilience.health import Health, Hindrance, Ticket
from runtime.resilience.judgement import Judgement, Step, judge
from runtime.resilience.snapshot import HealthSnapshot

__all__ = ["Door", "Health", "HealthSnapshot", "Hindrance", "Judgement", "Step", "Ticket", "backoff_s", "judge"]
