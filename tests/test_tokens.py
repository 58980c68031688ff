from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from feeds.tokens import message_id, mint, verify

SECRET = b"a secret of the tests"
parts = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4).map(tuple)


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"])), parts)
def test_a_token_is_24_characters_that_an_address_can_hold(
    secret: bytes, purpose: str, some: tuple[str, ...]
) -> None:
    token = mint(secret, purpose, *some)
    assert re.fullmatch("[A-Za-z0-9_-]{24}", token)
    assert verify(secret, token, purpose, *some)


@given(parts, parts)
def test_a_token_is_good_for_its_own_parts_alone(
    some: tuple[str, ...], others: tuple[str, ...]
) -> None:
    assert verify(SECRET, mint(SECRET, "leave", *some), "leave", *others) == (some == others)


def test_parts_do_not_run_into_each_other() -> None:
    assert mint(SECRET, "leave", "12", "3") != mint(SECRET, "leave", "1", "23")
    assert mint(SECRET, "leave", "7") != mint(SECRET, "leave7")


def test_purpose_secret_and_version_part_tokens() -> None:
    token = mint(SECRET, "leave", "7", "1")
    assert not verify(SECRET, token, "confirm", "7", "1")
    assert not verify(SECRET, token, "leave", "7", "2")
    assert not verify(b"another", token, "leave", "7", "1")


@given(st.text())
def test_any_text_can_be_refused(token: str) -> None:
    assert not verify(SECRET, token, "leave", "7", "1")


def test_a_token_made_by_this_version_holds_for_ever() -> None:
    """Links in old letters must go on working: the rule may never change unnoticed."""
    assert mint(SECRET, "leave", "7", "1") == "qbS7dm5UCrcPG46kx7mfY7ha"


def test_a_message_id_follows_edition_slot_and_subscriber() -> None:
    one = message_id(SECRET, "daily", "2026-01-02T08:00", 7, "news.example.org")
    assert re.fullmatch(r"<[A-Za-z0-9_-]{24}@news\.example\.org>", one)
    assert one == message_id(SECRET, "daily", "2026-01-02T08:00", 7, "news.example.org")
    others = {
        message_id(SECRET, "weekly", "2026-01-02T08:00", 7, "news.example.org"),
        message_id(SECRET, "daily", "2026-01-03T08:00", 7, "news.example.org"),
        message_id(SECRET, "daily", "2026-01-02T08:00", 8, "news.example.org"),
    }
    assert len(others - {one}) == 3
