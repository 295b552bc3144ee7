"""Where addresses lead: one answer for every spelling."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.network import read_address, standing, standing_of

NUMBERS = st.sampled_from(["{:d}", "0x{:x}", "0X{:X}", "0{:o}"])
NEVER = st.sampled_from(["169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32"])
OWN = st.sampled_from(["10.0.0.0/8", "127.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "100.64.0.0/12"])


def addresses(networks: st.SearchStrategy[str]) -> st.SearchStrategy[ipaddress.IPv4Address]:
    return networks.flatmap(lambda network: st.ip_addresses(network=network)).map(
        lambda found: ipaddress.IPv4Address(int(found))
    )


@st.composite
def spelt(draw: st.DrawFn, networks: st.SearchStrategy[str]) -> tuple[ipaddress.IPv4Address, str]:
    """An IPv4 address, in one of the ways in which resolvers take it."""
    address = draw(addresses(networks))
    parts = draw(st.integers(1, 4))
    octets = address.packed
    numbers = [*octets[: parts - 1], int.from_bytes(octets[parts - 1 :])]
    text = ".".join(draw(NUMBERS).format(number) for number in numbers)
    return address, text + draw(st.sampled_from(["", "."]))


@st.composite
def disguised(draw: st.DrawFn, networks: st.SearchStrategy[str]) -> str:
    """An IPv4 address inside of an IPv6 one."""
    low = int(draw(addresses(networks)))
    prefix = draw(
        st.sampled_from(
            [0xFFFF << 32, 0xFFFF << 48, 0x64FF9B << 96, 0x64FF9B_0001 << 80, (0x2A00 << 112) | (0x5EFE << 32), None]
        )
    )
    number = (0x2002 << 112) | (low << 80) | draw(st.integers(0, 99)) if prefix is None else prefix | low
    address = ipaddress.IPv6Address(number)
    return draw(st.sampled_from([str(address), address.exploded, str(address).upper(), f"[{address}]"]))


@given(spelt(NEVER))
def test_no_spelling_makes_metadata_an_address(found: tuple[ipaddress.IPv4Address, str]) -> None:
    address, text = found
    assert (address, "never") == (read_address(text), standing_of(text))
    assert str(address) == socket.getaddrinfo(text.rstrip("."), None)[0][4][0], "a resolver reads it as we do"


@given(spelt(OWN))
def test_no_spelling_makes_a_network_of_ones_own_a_public_one(found: tuple[ipaddress.IPv4Address, str]) -> None:
    address, text = found
    if address != ipaddress.IPv4Address("100.100.100.200"):
        assert (address, "own") == (read_address(text), standing_of(text))


@given(disguised(NEVER))
def test_no_disguise_does_either(text: str) -> None:
    assert "never" == standing_of(text)


@given(disguised(OWN))
def test_a_disguised_address_of_ones_own_is_ones_own(text: str) -> None:
    assert standing_of(text) in {"own", "never"}


@given(disguised(st.sampled_from(["8.8.8.0/24", "1.1.1.0/24"])))
def test_a_disguised_public_address_is_public(text: str) -> None:
    assert "public" == standing_of(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("fe80::1%eth0", "never"), ("::", "never"), ("ff02::1", "never"), ("fd00:ec2::254", "never"),
        ("::1", "own"), ("fd12::1", "own"), ("fec0::1", "own"), ("2001:db8::1", "own"), ("::7f00:1", "own"),
        ("2606:4700::1111", "public"), ("8.8.8.8", "public"), ("１６９.２５４.１６９.２５４", "never"),
        ("169。254。169。254", "never"), ("192.0.0.192", "never"), ("2001:0:a9fe:a9fe::1", "never"),
        ("Metadata.google.internal.", "never"), ("a.internal", None), ("1.2.3.4.5", None), ("0x", None), ("", None), ("256.256.256.256", None),
    ],
)  # fmt: skip
def test_addresses_and_names(host: str, expected: str | None) -> None:
    assert expected == standing_of(host)


@given(st.ip_addresses())
def test_every_address_leads_somewhere(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert standing(address) == standing_of(str(address))
    if standing(address) == "public" and isinstance(address, ipaddress.IPv4Address):
        assert address.is_global
