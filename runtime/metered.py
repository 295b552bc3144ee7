"""The operations about keys and what they may use and have used, of one plan: services and what they implement."""

from __future__ import annotations

import os
import time

from generated.api import budget, identity, keys
from runtime.config.plan import Plan
from runtime.lasting import Lasting, new_id
from runtime.limits.admission import Admission
from runtime.services.budgets import Budgets
from runtime.services.identity import Identity
from runtime.services.keys import Keys
from runtime.surface import Served, served
from runtime.telemetry import Recorder

__all__ = ["metered"]


def metered(parts: Lasting, plan: Plan, admission: Admission, recorder: Recorder) -> list[Served]:
    """The services and what they implement."""
    made = Keys(
        parts.keys, parts.good_keys, parts.colleagues, parts.ready.pepper, time.time, os.urandom, plan, parts.audit
    )
    budgets = Budgets(made, parts.keys, parts.good_keys, parts.ready.pepper, parts.spending, time.time)
    return [
        served(keys.build_routes, made),
        served(budget.build_routes, budgets),
        served(identity.build_routes, Identity(plan, recorder, admission, time.monotonic, new_id)),
    ]
