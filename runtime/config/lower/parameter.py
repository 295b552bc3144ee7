"""Parameter rules: the catalogue's, with the operator's added."""

from __future__ import annotations

from generated.config import ParameterSettings
from runtime.catalog import ParameterRules, Range

__all__ = ["lower_parameters"]


def lower_parameters(settings: ParameterSettings | None, known: ParameterRules) -> ParameterRules:
    """``known`` with what ``settings`` adds; a rule for the same field replaces the known one."""
    if settings is None:
        return known
    return ParameterRules(
        drop=tuple(dict.fromkeys((*known.drop, *settings.drop))),
        rename={**known.rename, **settings.rename},
        range={**known.range, **{name: Range(min=item.min, max=item.max) for name, item in settings.range.items()}},
        add={**known.add, **settings.add},
        exclusive=(*known.exclusive, *(group.fields for group in settings.exclusive)),
    )
