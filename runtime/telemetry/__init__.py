"""What happened, told to logs and metrics. Nothing here decides anything."""

from runtime.telemetry.call import CallRecord, Outcome
from runtime.telemetry.decisions import Decisions
from runtime.telemetry.latencies import Latencies
from runtime.telemetry.metrics import Metrics
from runtime.telemetry.recorder import Recorder
from runtime.telemetry.trail import AttemptRecord, Note, Ordering, Skipped

__all__ = [
    "AttemptRecord",
    "CallRecord",
    "Decisions",
    "Latencies",
    "Metrics",
    "Note",
    "Ordering",
    "Outcome",
    "Recorder",
    "Skipped",
]
