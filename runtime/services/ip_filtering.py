"""Which addresses may call, shown and changed over HTTP. What stands in `server.ip_filter` is what is in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from generated.config import IpBan, IpFilterSettings
from generated.types.ip_filter import IpBan as ShownBan
from generated.types.ip_filter import IpBanWish, IpFilterChange
from generated.types.ip_filter import IpFilter as Shown
from runtime.config.effective import Effective
from runtime.errors import ConfigError, Conflict, InvalidRequest, Refused
from runtime.services.overrides import Change, Overrides
from runtime.services.written import edit
from runtime.stores.base import StoreError
from runtime.web.address import is_loopback, network
from runtime.web.asking import Asking
from runtime.web.ip_filter import IpFilter
from runtime.web.key import KeyRecord

__all__ = ["IpFiltering", "ip_filter_of"]

Mode = Literal["deny", "allow", "both"]
Word = Literal["blacklist", "whitelist", "both"]


class IpFiltering:
    """Implements `generated.api.ip_filter.IpFilterService`. ``asking`` tells who calls, ``now`` gives Unix seconds."""

    def __init__(self, overrides: Overrides, asking: Callable[[], Asking], now: Callable[[], float]) -> None:
        self._overrides = overrides
        self._asking = asking
        self._now = now

    async def get_ip_filter(self, caller: KeyRecord) -> Shown:
        caller.require_manages()
        with suppress(StoreError, Refused, ConfigError):  # what is in force here is told where no more can be known
            await self._overrides.refresh()
        return self._shown()

    async def set_ip_filter_too(self, caller: KeyRecord, data: IpFilterChange) -> Shown:
        return await self.set_ip_filter(caller, data)

    async def set_ip_filter(self, caller: KeyRecord, data: IpFilterChange) -> Shown:
        caller.require_manages()
        await edit(self._overrides, caller, "ip-filter.changed", lambda: [self._change(data)])
        return self._shown()

    def _change(self, data: IpFilterChange) -> Change:
        """What ``data`` makes of what is in force. Raises Conflict where it would shut out whoever asks."""
        new = self._changed(self._settings, data)
        address = self._asking().ip
        made = _made(new, self._now) if new.enabled else None
        if made is not None and address and not is_loopback(address) and not made.admits(address):
            raise Conflict(f"that would shut out {address}, from where it was asked; allow that first")
        document = msgspec.to_builtins(new) | {"enabled": new.enabled}  # a filter that is silent of it is doubted
        return Change(section="server", name="ip_filter", document=document)

    @property
    def _settings(self) -> IpFilterSettings:
        return self._overrides.effective.artefact.plan.server.ip_filter or IpFilterSettings()

    def _shown(self) -> Shown:
        settings = self._settings
        return Shown(
            enabled=settings.enabled,
            mode=_word(settings.mode),
            whitelist=list(settings.allow),
            blacklist=list(settings.deny),
            bans=[
                ShownBan(ip=ban.address, until=ban.until, reason=ban.reason) for ban in _lasting(settings, self._now())
            ],
        )

    def _changed(self, before: IpFilterSettings, data: IpFilterChange) -> IpFilterSettings:
        bans = _lasting(before, self._now())
        if data.removeBan is not UNSET:
            over = _network(data.removeBan, "removeBan")
            bans = [ban for ban in bans if str(network(ban.address)) != over]
        if data.tempBan is not UNSET:
            bans = [ban for ban in bans if ban.address != data.tempBan.ip] + [self._ban(data.tempBan)]
        return IpFilterSettings(
            enabled=before.enabled if data.enabled is UNSET else data.enabled,
            mode=before.mode if data.mode is UNSET else _mode(data.mode),
            allow=_list(before.allow, data.whitelist, data.addWhitelist, data.removeWhitelist, "Whitelist"),
            deny=_list(before.deny, data.blacklist, data.addBlacklist, data.removeBlacklist, "Blacklist"),
            bans=tuple(bans),
        )

    def _ban(self, wish: IpBanWish) -> IpBan:
        until = datetime.fromtimestamp(self._now(), UTC) + timedelta(milliseconds=wish.durationMs)
        address = _network(wish.ip, "tempBan.ip")
        return IpBan(address=address, until=until.strftime("%Y-%m-%dT%H:%M:%SZ"), reason=wish.reason)


def ip_filter_of(found: Effective, now: Callable[[], float]) -> IpFilter | None:
    """What the plan of ``found`` has in force; None where everybody may call."""
    settings = found.artefact.plan.server.ip_filter
    return _made(settings, now) if settings is not None and settings.enabled else None


def _made(settings: IpFilterSettings, now: Callable[[], float]) -> IpFilter:
    return IpFilter(
        settings.mode,
        [network(each) for each in settings.allow],
        [network(each) for each in settings.deny],
        [(network(ban.address), _end(ban)) for ban in settings.bans],
        now,
    )


def _lasting(settings: IpFilterSettings, now_s: float) -> list[IpBan]:
    return [ban for ban in settings.bans if _end(ban) > now_s]


def _end(ban: IpBan) -> float:
    return datetime.fromisoformat(ban.until).timestamp()


def _list(
    before: Iterable[str],
    whole: list[str] | UnsetType,
    added: list[str] | UnsetType,
    removed: list[str] | UnsetType,
    word: str,
) -> tuple[str, ...]:
    whole_name = word[0].lower() + word[1:]
    found = list(before) if whole is UNSET else [_network(each, whole_name) for each in whole]
    found += [] if added is UNSET else [_network(each, f"add{word}") for each in added]
    gone: set[str] = set() if removed is UNSET else {_network(each, f"remove{word}") for each in removed}
    return tuple(dict.fromkeys(each for each in found if str(network(each)) not in gone))


def _network(written: str, param: str) -> str:
    try:
        return str(network(written))
    except ValueError:
        raise InvalidRequest(f"{written[:100]!r} is no address and no CIDR block", param=param) from None


def _mode(word: Word) -> Mode:
    modes: dict[Word, Mode] = {"blacklist": "deny", "whitelist": "allow", "both": "both"}
    return modes[word]


def _word(mode: Mode) -> Word:
    words: dict[Mode, Word] = {"deny": "blacklist", "allow": "whitelist", "both": "both"}
    return words[mode]
