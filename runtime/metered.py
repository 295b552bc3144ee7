"""The operations about keys and what they may use and have used, of one plan: services and their routes."""

from __future__ import annotations

import os
import time

from litestar import Router

from generated.api import budget, identity, keys
from runtime.config.plan import Plan
from runtime.lasting import Lasting, new_id
from runtime.limits.admission import Admission
from runtime.services.budgets import Budgets
from runtime.services.identity import Identity
from runtime.services.keys import Keys
from runtime.telemetry import Recorder
from runtime.web.front import Front

__all__ = ["metered"]


def metered(parts: Lasting, plan: Plan, admission: Admission, recorder: Recorder, front: Front) -> list[Router]:
    """The routes."""
    made = Keys(
        parts.keys, parts.good_keys, parts.colleagues, parts.ready.pepper, time.time, os.urandom, plan, parts.audit
    )
    budgets = Budgets(made, parts.keys, parts.good_keys, parts.spending, time.time)
    return [
        keys.build_router(made, front),
        budget.build_router(budgets, front),
        identity.build_router(Identity(plan, recorder, admission, time.monotonic, new_id), front),
    ]
