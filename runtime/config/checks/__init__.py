"""Static checks: each looks at one kind of thing, adds diagnostics, and changes nothing. All run, in this order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from runtime.config.checks.cache import check_caches
from runtime.config.checks.capability import check_capabilities
from runtime.config.checks.discovery import check_discovery
from runtime.config.checks.fact import check_facts
from runtime.config.checks.header import check_headers
from runtime.config.checks.idle import check_idle
from runtime.config.checks.ip_filter import check_ip_filter
from runtime.config.checks.key import check_keys
from runtime.config.checks.limit import check_limits
from runtime.config.checks.name import check_names
from runtime.config.checks.policy import check_policies
from runtime.config.checks.price import check_prices
from runtime.config.checks.provider import check_providers
from runtime.config.checks.reference import check_references
from runtime.config.checks.rescue import check_rescues
from runtime.config.checks.secret import check_secret_fields
from runtime.config.checks.server import check_server
from runtime.config.checks.shared import check_shared
from runtime.config.checks.strategy import check_strategies
from runtime.config.checks.target import check_targets
from runtime.config.checks.timeout import check_timeouts
from runtime.config.checks.url import check_urls
from runtime.config.draft import Draft
from runtime.config.scope import Scope

__all__ = ["CHECKS"]

CHECKS: Final[tuple[Callable[[Scope, Draft], None], ...]] = (
    check_server,
    check_ip_filter,
    check_idle,
    check_shared,
    check_timeouts,
    check_providers,
    check_urls,
    check_headers,
    check_secret_fields,
    check_facts,
    check_prices,
    check_names,
    check_references,
    check_targets,
    check_strategies,
    check_rescues,
    check_capabilities,
    check_caches,
    check_keys,
    check_limits,
    check_policies,
    check_discovery,
)
