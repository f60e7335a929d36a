"""Which hosts a pattern means, and which addresses are public."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.confine_net import AddressRefused, HostPattern, check_address

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0",
    "223.255.255.255", "192.169.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8",
    "64:ff9b::808:808", "2002:808:808::1", "2003::1",
]  # fmt: skip
PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1",
    "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1",
    "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1", "::", "::1", "fc00::1",
    "fd12:3456::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1",
    "100::1", "3fff::1", "5f00::1", "64:ff9b:1::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::1", "2002:a00:1::", "2002:c0a8:101::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_passes(address: str) -> None:
    assert check_address(address) == ipaddress.ip_address(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_other_address_is_refused_with_range_and_reason(address: str) -> None:
    with pytest.raises(AddressRefused, match=r"is not public \(.+\) and was not granted") as caught:
        check_address(address)
    assert str(ipaddress.ip_address(address)) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "1.2.3",
        "1.2.3.4 ",
        "[::1]",
        "::g",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused, match="not an IP address"):
        check_address(text)


@given(st.integers(0, 2**32 - 1))
def test_an_address_that_carries_another_is_as_public_as_that(number: int) -> None:
    plain = ipaddress.IPv4Address(number)

    def refused(address: object) -> bool:
        try:
            check_address(str(address))
        except AddressRefused:
            return True
        return False

    carriers = [0xFFFF << 32, 0x64FF9B << 96, 0xFFFF << 48]
    carried = [ipaddress.IPv6Address(base | number) for base in carriers]
    carried.append(ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1))
    assert {refused(each) for each in carried} == {refused(plain)}


@given(st.ip_addresses())
def test_what_passes_is_public_for_the_standard_library_too(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    try:
        check_address(address)
    except AddressRefused:
        return
    if isinstance(address, ipaddress.IPv4Address):
        assert address.is_global
        assert not address.is_multicast
    else:
        assert not address.is_private or address.ipv4_mapped or address.sixtofour
        special = (address.is_loopback, address.is_link_local, address.is_multicast, address.is_unspecified)
        assert not any(special)


def test_granted_range_lets_its_addresses_through_and_no_others() -> None:
    granted = HostPattern.parse("10.1.0.0/16").granted
    assert check_address("10.1.2.3", granted) == ipaddress.ip_address("10.1.2.3")
    assert check_address("::ffff:10.1.2.3", granted)
    for address in ("10.2.0.1", "127.0.0.1", "::ffff:10.2.0.1"):
        with pytest.raises(AddressRefused):
            check_address(address, granted)
    assert check_address("::1", HostPattern.parse("localhost").granted)
    assert HostPattern.parse("*.localhost").granted == ()
    assert HostPattern.parse("*").granted == ()


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (
            "api.example.com",
            [("api.example.com", 443), ("API.Example.COM", 1), ("api.example.com.", 65535)],
            [
                ("example.com", 443),
                ("xapi.example.com", 443),
                ("api.example.com.evil.org", 443),
                ("1.2.3.4", 443),
            ],
        ),
        (
            "*.example.com",
            [("a.example.com", 1), ("a.b.example.com", 1), ("A.EXAMPLE.com.", 1)],
            [("example.com", 1), (".example.com", 1), ("evilexample.com", 1), ("a.example.com.evil.org", 1)],
        ),
        ("example.com:443", [("example.com", 443)], [("example.com", 80), ("www.example.com", 443)]),
        (
            "example.com:8000-8100",
            [("example.com", 8000), ("example.com", 8050), ("example.com", 8100)],
            [("example.com", 7999), ("example.com", 8101), ("example.com", 443)],
        ),
        ("bücher.example", [("xn--bcher-kva.example", 1), ("BÜCHER.example", 1)], [("bucher.example", 1)]),
        ("*", [("example.com", 1), ("1.1.1.1", 1)], []),
        ("*:443", [("example.com", 443)], [("example.com", 80)]),
        ("127.0.0.1", [("127.0.0.1", 1)], [("127.0.0.2", 1), ("localhost", 1), ("::ffff:127.0.0.1", 1)]),
        ("10.0.0.0/8:80", [("10.9.8.7", 80)], [("11.0.0.1", 80), ("10.9.8.7", 81)]),
        ("[::1]:8080", [("::1", 8080), ("0:0::1", 8080)], [("::1", 80), ("::2", 8080)]),
        ("fd00::/8", [("fd12::1", 5)], [("fe80::1", 5)]),
        ("localhost", [("localhost", 1), ("LOCALHOST.", 1)], [("a.localhost", 1), ("127.0.0.1", 1)]),
    ],
)
def test_pattern_matches_its_hosts_and_no_others(
    pattern: str, yes: list[tuple[str, int]], no: list[tuple[str, int]]
) -> None:
    parsed = HostPattern.parse(pattern)
    assert [each for each in yes if not parsed.matches(*each)] == []
    assert [each for each in no if parsed.matches(*each)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "", " ", ".", "..", "*.", "**", "a.*.com", "*example.com", "ex ample.com", "http://example.com",
        "example.com/", "user@example.com", "-a.com", "a-.com", "a..b", "x" * 64 + ".com",
        "a." * 130 + "com", "1.2.3", "1.2.3.4.5", "999.1.1.1", "10.0.0.1/8", "example.com:",
        "example.com:http", "example.com:70000", "example.com:9-8", "example.com:-1", "example.com:1-",
        "[::1", "[::1]8080", "[::1]:", "a\0.com", "a\n.com", "example.com:+80", "example.com:८०",
        "\udcff.com",
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused_and_named(pattern: str) -> None:
    with pytest.raises(ValueError, match="bad host") as caught:
        HostPattern.parse(pattern)
    assert repr(pattern) in str(caught.value)


@given(st.text(max_size=40), st.integers(0, 65535))
def test_no_text_breaks_parsing_or_matching(text: str, port: int) -> None:
    try:
        pattern = HostPattern.parse(text)
    except ValueError:
        pattern = HostPattern.parse("*.example.com:443")
    assert pattern.matches(text, port) in (True, False)
    assert not HostPattern.parse("*.example.com").matches(text, port) or text.lower().rstrip(".").endswith(
        ".example.com"
    )
