"""Who may call at all."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import PermissionDenied
from runtime.web.address import Network, network
from runtime.web.ip_filter import IpFilter

TEN = network("10.0.0.0/8")
ONE = network("10.0.0.1")
DOC = network("2001:db8::/32")
PROXY = network("172.16.0.0/12")


def ip_filter(mode: str, allow: tuple[object, ...] = (), deny: tuple[object, ...] = ()) -> IpFilter:
    return IpFilter(mode, allow, deny, (), lambda: 0.0)  # type: ignore[arg-type]


def test_what_is_denied_is_denied_allowed_or_not() -> None:
    both = ip_filter("both", (TEN, DOC), (ONE,))

    admitted = [both.admits(each) for each in ("10.0.0.2", "10.0.0.1", "2001:db8::1", "9.9.9.9", "::ffff:10.0.0.2")]
    assert admitted == [True, False, True, False, True]
    assert ip_filter("deny", (TEN,), (ONE,)).admits("9.9.9.9")
    assert not ip_filter("deny", (), (ONE,)).admits("::ffff:10.0.0.1")
    assert ip_filter("allow", (TEN,), (ONE,)).admits("10.0.0.1")
    assert ip_filter("both", (), (ONE,)).admits("9.9.9.9")


@given(st.ip_addresses())
def test_every_address_is_judged_by_the_lists_alone(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    both = ip_filter("both", (TEN, DOC), (ONE,))
    plain = getattr(address, "ipv4_mapped", None) or address
    listed = any(plain in each for each in (TEN, DOC) if each.version == plain.version)

    assert both.admits(str(address)) == (listed and plain not in ONE if plain.version == 4 else listed)
    assert both.admits(str(address)) == both.admits(str(address))


def test_a_ban_ends_at_its_time() -> None:
    now = [100.0]
    banned = IpFilter("both", (), (), ((TEN, 200.0),), lambda: now[0])

    assert not banned.admits("10.1.1.1")
    assert banned.admits("9.9.9.9")
    now[0] = 200.0
    assert banned.admits("10.1.1.1")


def test_this_machine_is_never_shut_out_and_what_proxies_hand_on_is_judged() -> None:
    only = ip_filter("allow", (TEN,))

    def admitted(peer: str, handed_on: str | None = None, *trusted: Network) -> bool:
        try:
            only.demand(peer, {} if handed_on is None else {"x-forwarded-for": handed_on}, trusted)
        except PermissionDenied:
            return False
        return True

    assert admitted("127.0.0.1")
    assert not admitted("127.0.0.1", "10.0.0.1")
    assert admitted("127.0.0.1", "10.0.0.1", network("127.0.0.0/8"))
    assert not admitted("127.0.0.1", "9.9.9.9", network("127.0.0.0/8"))
    assert admitted("172.16.0.1", "10.0.0.1", PROXY)
    assert not admitted("172.16.0.1", "10.0.0.1")
    assert not admitted("9.9.9.9", "10.0.0.1", PROXY)
    assert not admitted("")
