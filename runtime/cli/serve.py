"""``gatewright serve``: hand the built plan over to the server, or keep rebuilding and restarting it."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from click import option  # typed, which rich_click's are not

from runtime.cli.staying import staying
from runtime.cli.terminal import FAULT, Stop, root_option

__all__ = ["serve"]


@click.command()
@root_option
@option("--host", help="Listen here instead of on `server.host`.")
@option("--port", type=click.IntRange(0, 65535), help="Listen here instead of on `server.port`; 0 takes any.")
@option("--workers", type=click.IntRange(1, 64), help="Serve with so many processes instead of `server.workers`.")
@option("--watch", is_flag=True, help="Rebuild and restart when `gateway.yaml` or `schemas/` change.")
def serve(root: Path, host: str | None, port: int | None, workers: int | None, watch: bool) -> int:
    """Serve the built plan.

    Compiles nothing: a plan whose sources have changed since `gatewright build` is refused. With `--watch` a build that
    fails says why and leaves the last good one serving.
    """
    if host is not None and not host.strip():
        raise Stop(FAULT, f"{host!r} is no host to listen on; write a name or an address, such as 127.0.0.1")
    if watch:
        from runtime.cli.watch import watch_project

        return watch_project(root, host=host, port=port, workers=workers)
    with staying():
        from runtime.server import load_codecs
        from runtime.server import serve as run

        load_codecs()
    return run(root, host=host, port=port, workers=workers, out=click.echo)
