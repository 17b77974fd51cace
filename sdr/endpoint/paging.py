"""Pages of a sorted list: ``n``, ``last`` and ``Link`` (OCI Distribution Specification, "Listing Tags")."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from sdr.registry.questions import Question


class BadNumber(ValueError):
    """``n`` is not a number of results."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    :param link: the ``Link`` header to the next page, if there is one.
    """

    items: Sequence[str]
    link: tuple[tuple[str, str], ...] = ()


def parameter(question: Question, name: str) -> str | None:
    """Return the first value of a parameter in the query, if it is there."""
    if not question.query:
        return None
    try:
        # The bytes came in as Latin-1; what they encode is UTF-8.
        values = parse_qs(question.query, keep_blank_values=True, errors="replace", max_num_fields=100)
    except ValueError:
        return None
    return values.get(name, [None])[0]


def page_of(items: Sequence[str], question: Question, *, at_most: int | None = None) -> Page:
    """Return the page that the query asks for.

    :param items: sorted.
    :param at_most: how many results a page may have; without it, as many as are asked for, or all.
    :raise BadNumber: if ``n`` is none.
    """
    number, last = parameter(question, "n"), parameter(question, "last")
    start = bisect_right(items, last) if last else 0
    if number is None and at_most is None:
        return Page(items[start:] if start else items)
    if number is None:
        number = str(at_most)
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise BadNumber(f"n={number[:50]}")
    length = int(number) if at_most is None else min(int(number), at_most)
    chosen = items[start : start + length]
    if not chosen or start + length >= len(items):
        return Page(chosen)
    query = urlencode({"n": length, "last": chosen[-1]})
    return Page(chosen, (("Link", f'<{question.path}?{query}>; rel="next"'),))
