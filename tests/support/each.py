"""One test of many small cases, where a test for each would cost more to tell of than to make."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

import pytest

__all__ = ["each"]


def each(
    cases: Sequence[object],
) -> Callable[[Callable[..., Coroutine[object, object, None] | None]], Callable[[], None]]:
    """The test is made of every case, a tuple being its arguments. All that fail are shown, each with its case."""

    def decorated(check: Callable[..., Coroutine[object, object, None] | None]) -> Callable[[], None]:
        def test() -> None:
            assert cases, "no case"
            failed = list[BaseException]()
            for case in cases:
                try:
                    waiting = check(*case) if isinstance(case, tuple) else check(case)
                    if waiting is not None:
                        asyncio.run(waiting)
                except pytest.skip.Exception:
                    raise AssertionError(f"a case of many may not be skipped: {case!r:.500}") from None
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 — all that failed is raised below
                    error.add_note(f"in the case {case!r:.500}")
                    failed.append(error)
            if failed:
                raise BaseExceptionGroup(f"{len(failed)} of {len(cases)} cases failed", failed)

        test.__doc__ = check.__doc__
        return test

    return decorated
