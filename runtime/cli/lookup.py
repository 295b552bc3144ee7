"""Where secrets of a project are found from the command line: the environment, files, and what the store holds sealed.

`serve` finds them there, too; whoever says of a secret that it is missing must have looked in the same places. Makes nothing.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from runtime.config.keyfile import STORE_KEY, STORE_KEY_FILE
from runtime.config.plan import Plan
from runtime.config.secrets import Lookup, environment, resolve_secrets, with_stored
from runtime.errors import ConfigError

__all__ = ["look_up_below"]


def look_up_below(root: Path, plan: Plan) -> Lookup:
    """How secrets of ``plan``, which the sources below ``root`` say, are found.

    The store is asked only where the plan refers to it; while it cannot be read, or its secrets cannot be opened, it has none.
    """
    look_up = environment(root)
    secrets = resolve_secrets(plan, look_up)
    wanted = any(item.reference.stored is not None for item in secrets.missing)
    url = secrets.urls.get("store.url")
    if not wanted or (url is None and plan.store.url is not None):
        return look_up
    from runtime.in_force import open_vault, peek  # with the database: most plans do without
    from runtime.stores.database import database_url

    data_dir = root / plan.server.data_dir
    if look_up(STORE_KEY) is None and not (data_dir / STORE_KEY_FILE).exists():
        return look_up  # to open anything would make one
    try:
        sealed = asyncio.run(peek(database_url(url, data_dir))).secrets
        return with_stored(look_up, open_vault(data_dir, look_up).open(sealed)) if sealed else look_up
    except ConfigError:
        return look_up
