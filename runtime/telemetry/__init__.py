"""What happened, told to logs and metrics. Nothing here decides anything."""

from runtime.telemetry.call import CallRecord, Outcome
from runtime.telemetry.metrics import Metrics
from runtime.telemetry.recorder import Recorder

__all__ = ["CallRecord", "Metrics", "Outcome", "Recorder"]
