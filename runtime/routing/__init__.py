"""Which targets a request may go to, and in which order."""

from runtime.routing.candidate import Candidate
from runtime.routing.table import RouteTable

__all__ = ["Candidate", "RouteTable"]
