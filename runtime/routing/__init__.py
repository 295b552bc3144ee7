"""Which targets a request may go to, in which order, and what happens when one fails."""

from runtime.routing.attempt import Attempt, UnsayableError
from runtime.routing.attempts import Attempts
from runtime.routing.candidate import Candidate
from runtime.routing.needs import Needs, read_needs
from runtime.routing.prepared import Prepared
from runtime.routing.pursuit import Pace, Pursuit
from runtime.routing.race import Race
from runtime.routing.table import RouteTable

__all__ = [
    "Attempt", "Attempts", "Candidate", "Needs", "Pace", "Prepared", "Pursuit", "Race", "RouteTable", "UnsayableError",
    "read_needs",
]  # fmt: skip
