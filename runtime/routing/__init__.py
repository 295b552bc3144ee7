"""Which targets a request may go to, in which order, and what happens when one fails."""

from runtime.routing.attempt import Attempt, UnsayableError
from runtime.routing.attempts import Attempts, Pace
from runtime.routing.candidate import Candidate
from runtime.routing.needs import Needs, read_needs
from runtime.routing.prepared import Prepared
from runtime.routing.table import RouteTable

__all__ = [
    "Attempt", "Attempts", "Candidate", "Needs", "Pace", "Prepared", "RouteTable", "UnsayableError", "read_needs",
]  # fmt: skip
