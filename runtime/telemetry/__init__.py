"""What happened, told to logs and metrics. Nothing here decides anything."""

from runtime.telemetry.call import AttemptRecord, CallRecord, Outcome, Skipped
from runtime.telemetry.metrics import Metrics
from runtime.telemetry.recorder import Recorder

__all__ = ["AttemptRecord", "CallRecord", "Metrics", "Outcome", "Recorder", "Skipped"]
