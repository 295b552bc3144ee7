"""A file in a form: the same bytes, however the form is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidRequest, UnsupportedMedia
from runtime.web.form import FormFile, boundary_of

BOUNDARY = "----form7MA4"


def form(*parts: tuple[str, bytes], preamble: bytes = b"") -> bytes:
    out = preamble
    for name, body in parts:
        out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="x.sqlite"\r\n\r\n'.encode()
        out += body + b"\r\n"
    return out + f"--{BOUNDARY}--\r\n".encode()


def read(pieces: list[bytes]) -> bytes:
    found = FormFile(BOUNDARY, "file")
    out = b"".join(piece for each in pieces for piece in found.feed(each))
    found.finish()
    return out


@given(st.binary(max_size=300), st.lists(st.integers(0, 700), max_size=12), st.binary(max_size=40))
def test_any_cut_gives_the_same_file(body: bytes, cuts: list[int], other: bytes) -> None:
    raw = form(("before", other), ("file", body), ("after", other))
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    pieces = [raw[first:last] for first, last in pairwise(places)]

    assert read(pieces) == body
    assert read([raw[at : at + 1] for at in range(len(raw))]) == body


@pytest.mark.parametrize("body", [b"", b"\r\n", b"--", b"\r\n--", f"\r\n--{BOUNDARY[:-1]}".encode(), b"-" * 100])
def test_what_looks_like_a_boundary_is_not_one(body: bytes) -> None:
    assert read([form(("file", body))]) == body


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        form(("file", b"x"))[:-4],
        form(("other", b"x")),
        form(("file", b"x"), ("file", b"y")),
        form(*[("other", b"")] * 20, ("file", b"x")),
        f"--{BOUNDARY}\r\nContent-Disposition: {'x' * 9000}".encode(),
        form(("file", f"\r\n--{BOUNDARY}x".encode())),
    ],
)
def test_what_is_no_whole_form_with_one_file_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read([raw])


def test_the_boundary_is_in_the_content_type() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == "abc"
    assert boundary_of('Multipart/Form-Data; charset=x; boundary="a b"') == "a b"
    for wrong in ("multipart/form-data", "multipart/mixed; boundary=a", "", "multipart/form-data; boundary="):
        with pytest.raises(UnsupportedMedia):
            boundary_of(wrong)
