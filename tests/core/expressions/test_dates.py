"""Dates: what the examples beside the operators leave out."""

from __future__ import annotations

import contextlib
import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow.core.dates import format_iso, parse_date
from fluxion_flow.core.environment import Environment
from fluxion_flow.core.values import MISSING, EvaluationError
from fluxion_flow.core.zones import time_zone
from fluxion_flow.errors import PipelineError
from tests.core.expressions.agreement import assert_inline_source_agrees, function_of

UTC = datetime.timezone.utc


def value(expression: Any, **document: Any) -> Any:
    return function_of(expression)(document, Environment())


def iso(result: Any) -> Any:
    return format_iso(result) if isinstance(result, datetime.datetime) else result


def problems_of(expression: Any) -> str:
    with pytest.raises(PipelineError) as raised:
        function_of(expression)
    return str(raised.value)


def error_of(expression: Any, **document: Any) -> str:
    with pytest.raises(EvaluationError) as raised:
        value(expression, **document)
    return str(raised.value)


# -- text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2017-07-04T11:56:02.81Z", "2017-07-04T11:56:02.810Z"),
        ("2017-07-04T11:56.02.813", "2017-07-04T11:56:02.813Z"),
        ("2017-07-04T11:56:02.123456Z", "2017-07-04T11:56:02.123Z"),
        ("2017-07-14T12:02:44.771 GMT+02:00", "2017-07-14T10:02:44.771Z"),
        ("2017-07-14T12:02:44.771+03", "2017-07-14T09:02:44.771Z"),
        ("2017-07-14T12:02:44.771+0330", "2017-07-14T08:32:44.771Z"),
        ("2017-07-14T12:02:44.771 CEST", "2017-07-14T10:02:44.771Z"),
        ("2017-07-14T12:02:44.771 P", "2017-07-14T15:02:44.771Z"),
        ("2017-07-06", "2017-07-06T00:00:00.000Z"),
        ("2017-07-06 11:36:54", "2017-07-06T11:36:54.000Z"),
        ("July 4th, 2017", "2017-07-04T00:00:00.000Z"),
        ("July 4th, 2017 12:39:30 BST", "2017-07-04T11:39:30.000Z"),
        ("July 4th, 2017 11am", "2017-07-04T11:00:00.000Z"),
        ("July 4th, 2017 12pm", "2017-07-04T12:00:00.000Z"),
        ("7/4/17", "2017-07-04T00:00:00.000Z"),
        ("04-07-2017", "2017-07-04T00:00:00.000Z"),
        ("2017-Jul-04 noon", "2017-07-04T12:00:00.000Z"),
        ("Tue, 4 Jul 2017 12:39:30 +0200", "2017-07-04T10:39:30.000Z"),
        ("20170704T115602Z", "2017-07-04T11:56:02.000Z"),
        ("2017-W27-2", "2017-07-04T00:00:00.000Z"),
        ("2017-185", "2017-07-04T00:00:00.000Z"),
    ],
)
def test_dates_are_read_as_people_write_them(text: str, date: str) -> None:
    assert format_iso(parse_date(text)) == date


@pytest.mark.parametrize(
    "text",
    ["July 4th", "12:50:53", "2017", "2017, 12:50:53", "60.Monday1770/06:59", "2017-07-12T22:23:55 Europe/Amsterdam",
     "Not even close", "July 4th, 10000", "", " ", "2017-02-30", "2017-07-04T25:00:00"],
)  # fmt: skip
def test_other_texts_are_no_dates(text: str) -> None:
    with pytest.raises(EvaluationError, match=r"^no date in the text"):
        parse_date(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_reading_a_text_gives_a_date_or_an_evaluation_error(text: str) -> None:
    with contextlib.suppress(EvaluationError):
        assert parse_date(text).tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_format_iso_writes_is_read_back(moment: datetime.datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert parse_date(format_iso(moment)) == moment


@pytest.mark.parametrize(
    ("text", "format", "date"),
    [
        ("05*12*1988", "%d*%m*%Y", "1988-12-05T00:00:00.000Z"),
        ("1992 % 04 % 26", "%Y %% %m %% %d", "1992-04-26T00:00:00.000Z"),
        ("4/26/1992:+0445", "%m/%d/%Y:%z", "1992-04-25T19:15:00.000Z"),
        ("4/26/1992:+285", "%m/%d/%Y:%Z", "1992-04-25T19:15:00.000Z"),
        ("2017", "%G", "2017-01-02T00:00:00.000Z"),
        ("2017, Week 53", "%G, Week %V", "2018-01-01T00:00:00.000Z"),
        ("53.7.2017", "%V.%u.%G", "2018-01-07T00:00:00.000Z"),
        ("1.1.1", "%V.%u.%G", "0001-01-01T00:00:00.000Z"),
        ("2017-07-14T12:02:44.7 PDT", "%Y-%m-%dT%H:%M:%S.%L%z", "2017-07-14T19:02:44.700Z"),
        ("2024 234 04:34:11", "%Y %j %H:%M:%S", "2024-08-21T04:34:11.000Z"),
        ("3 march 2024", "%d %B %Y", "2024-03-03T00:00:00.000Z"),
    ],
)
def test_dates_are_read_by_a_format(text: str, format: str, date: str) -> None:
    assert iso(value({"$dateFromString": {"dateString": "$t", "format": format}}, t=text)) == date


def test_errors_of_reading_say_what_does_not_fit() -> None:
    spec = {"$dateFromString": {"dateString": "$t", "format": "$f", "timezone": "$z"}}
    assert error_of(spec, t="2018-01", f="%Y-%m-%d", z="UTC") == "the text '2018-01' does not fit the format '%Y-%m-%d'"
    assert error_of(spec, t="2018", f="%Y", z="UTC") == "no date in the text '2018': the month or the day is missing"
    assert (
        error_of(spec, t="1 2018", f="%V %Y", z="UTC")
        == "no date in the text '1 2018': ISO weeks do not mix with years, months and days"
    )
    assert (
        error_of(spec, t="1.2.2018+01", f="%d.%m.%Y%z", z="Europe/Paris")
        == "the text '1.2.2018+01' has an offset of its own; leave out 'timezone'"
    )
    assert error_of(spec, t="2018", f="%w", z="UTC") == "'%w' in the format '%w' can be written but not read"


def test_on_error_stands_in_for_bad_texts_only() -> None:
    spec = {"$dateFromString": {"dateString": "$t", "format": "$f", "onError": "bad", "onNull": "none"}}
    assert value(spec, t="x", f="%Y") == "bad"
    assert value(spec, t=5, f=None) == "bad"
    assert value(spec, f="%Y") == "none"
    assert value(spec, t="x", f=None) is None
    assert error_of(spec, t="x", f="%n").startswith("unknown letter '%n' in the format '%n'")


def test_fallbacks_are_computed_only_where_they_are_needed() -> None:
    spec = {"$dateFromString": {"dateString": "$t", "onError": {"$divide": [1, "$zero"]}}}
    assert iso(value(spec, t="2024-01-02", zero=0)) == "2024-01-02T00:00:00.000Z"
    assert error_of(spec, t="x", zero=0) == "$divide by zero"
    assert value({"$dateFromString": {"dateString": "x", "onError": "$t"}}) is MISSING


@pytest.mark.parametrize(
    ("moment", "format", "zone", "text"),
    [
        ("1900-07-10T11:41:22.418Z", "%Y-%m-%d %H:%M:%S %z (%Z minutes)", "America/Caracas",
         "1900-07-10 07:13:42 -0427 (-267 minutes)"),
        ("2017-07-04T14:56:42.911Z", "%H:%M %z", "Australia/Eucla", "23:41 +0845"),
        ("2017-01-01T15:08:51.911Z", "%Y-W%w-%U-d%j, ISO: %G-W%u-%V", "UTC", "2017-W1-01-d001, ISO: 2016-W7-52"),
        ("2017-07-04T15:08:51.911Z", "%b (%B) %d, %Y.%L%%", "UTC", "Jul (July) 04, 2017.911%"),
        ("0006-06-01T00:01:02.003Z", "%Y", "UTC", "0006"),
        ("2017-01-19T15:13:25.713Z", "%z", "+5959", "+5959"),
        ("2017-01-19T15:13:25.713Z", "plain", "UTC", "plain"),
    ],
)  # fmt: skip
def test_dates_are_written_by_a_format(moment: str, format: str, zone: str, text: str) -> None:
    spec = {"$dateToString": {"date": "$d", "format": format, "timezone": zone}}
    assert value(spec, d=parse_date(moment)) == text
    from_document = {"$dateToString": {"date": "$d", "format": "$f", "timezone": "$z"}}
    assert value(from_document, d=parse_date(moment), f=format, z=zone) == text


# -- zones --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "+8", "+080", "+08:800", "-888888", "Ut", "Unknown", "\0\0", "Europe", "../UTC"])
def test_unknown_zones_are_errors(name: str) -> None:
    with pytest.raises(EvaluationError, match=r"^unknown time zone"):
        time_zone(name)


def test_a_zone_knows_times_that_a_clock_skips_or_shows_twice() -> None:
    new_york = time_zone("America/New_York")
    assert iso(new_york.moment(datetime.datetime(2021, 3, 14, 2, 30))) == "2021-03-14T07:30:00.000Z"
    assert iso(new_york.moment(datetime.datetime(2021, 11, 7, 1, 30))) == "2021-11-07T05:30:00.000Z"


def test_the_ends_of_the_calendar_are_errors_not_crashes() -> None:
    last = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    first = datetime.datetime(1, 1, 1, tzinfo=UTC)
    outside = "a date outside the years 1 to 9999 in its time zone"
    assert error_of({"$year": {"date": "$d", "timezone": "Asia/Tokyo"}}, d=last) == outside
    assert error_of({"$hour": {"date": "$d", "timezone": "-01"}}, d=first) == outside
    spec = {"$dateAdd": {"startDate": "$d", "unit": "$u", "amount": 1}}
    assert error_of(spec, d=last, u="day") == "1 days more leave the years 1 to 9999"
    assert error_of(spec, d=last, u="month") == "1 months more leave the years 1 to 9999"


# -- arithmetic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "unit", "amount", "zone", "date"),
    [
        ("2020-10-24T18:10:00Z", "hour", 24, "Europe/Paris", "2020-10-25T18:10:00.000Z"),
        ("2020-10-24T18:10:00Z", "day", 1, "Europe/Paris", "2020-10-25T19:10:00.000Z"),
        ("2021-01-30T23:30:00Z", "month", 1, "Europe/Paris", "2021-02-27T23:30:00.000Z"),
        ("2021-01-31T03:00:00Z", "month", -2, "UTC", "2020-11-30T03:00:00.000Z"),
        ("2021-01-31T03:00:00Z", "month", -2, "America/New_York", "2020-12-01T03:00:00.000Z"),
        ("2016-02-29T00:00:00Z", "year", 2, "UTC", "2018-02-28T00:00:00.000Z"),
        ("2020-01-31T00:00:00Z", "quarter", -3, "UTC", "2019-04-30T00:00:00.000Z"),
        ("2020-12-31T12:10:05Z", "week", Decimal(1), "UTC", "2021-01-07T12:10:05.000Z"),
        ("2020-12-31T12:10:05Z", "millisecond", 1050.0, "UTC", "2020-12-31T12:10:06.050Z"),
    ],
)
def test_dates_move_by_units(start: str, unit: str, amount: Any, zone: str, date: str) -> None:
    document = {"d": parse_date(start), "n": amount}
    spec = {"startDate": "$d", "unit": unit, "amount": amount, "timezone": zone}
    assert iso(value({"$dateAdd": spec}, **document)) == date
    assert iso(value({"$dateAdd": {**spec, "amount": "$n"}}, **document)) == date
    assert iso(value({"$dateSubtract": {**spec, "amount": -amount}}, **document)) == date


@pytest.mark.parametrize(
    ("start", "end", "unit", "zone", "count"),
    [
        ("2020-11-01T05:00:00Z", "2020-11-01T06:00:00Z", "hour", "America/New_York", 1),
        ("2020-03-08T07:00:00Z", "2020-03-08T06:45:00Z", "hour", "America/New_York", -1),
        ("2020-11-10T12:10:00Z", "2020-11-10T12:20:00Z", "hour", "Australia/Eucla", 1),
        ("2021-04-03T14:00:00Z", "2021-04-03T15:30:00Z", "hour", "Australia/Lord_Howe", 1),
        ("2021-10-02T14:30:00Z", "2021-10-02T15:30:00Z", "hour", "Australia/Lord_Howe", 1),
        ("1969-12-31T23:59:59.999Z", "1970-01-01T00:00:01Z", "second", "UTC", 2),
        ("2023-03-15T23:59:59Z", "2023-03-16T00:00:00Z", "day", "UTC", 1),
        ("2001-06-30T00:00:00Z", "2010-01-01T00:00:00Z", "quarter", "UTC", 35),
        ("2010-01-01T00:00:00Z", "2001-06-30T00:00:00Z", "month", "UTC", -103),
    ],
)
def test_boundaries_between_dates_are_counted(start: str, end: str, unit: str, zone: str, count: int) -> None:
    spec = {"$dateDiff": {"startDate": "$a", "endDate": "$b", "unit": unit, "timezone": zone}}
    assert value(spec, a=parse_date(start), b=parse_date(end)) == count


def test_weeks_begin_on_the_day_that_is_given() -> None:
    sunday, monday = parse_date("2021-01-24T18:23:36Z"), parse_date("2021-01-25T02:23:36Z")
    spec = {"startDate": "$a", "endDate": "$b", "unit": "week"}
    assert value({"$dateDiff": spec}, a=sunday, b=monday) == 0
    assert value({"$dateDiff": {**spec, "startOfWeek": "MONDAY"}}, a=sunday, b=monday) == 1
    trunc = {"date": "$a", "unit": "week", "binSize": 2, "startOfWeek": "mon", "timezone": "America/New_York"}
    assert iso(value({"$dateTrunc": trunc}, a=parse_date("2000-01-30T18:00:00Z"))) == "2000-01-17T05:00:00.000Z"


@pytest.mark.parametrize(
    ("date", "unit", "size", "zone", "start"),
    [
        ("2021-12-01T18:23:36Z", "hour", 4, "America/New_York", "2021-12-01T17:00:00.000Z"),
        ("1999-12-31T23:59:59.999Z", "millisecond", 1500, "UTC", "1999-12-31T23:59:58.500Z"),
        ("2021-03-14T08:00:00Z", "day", 1, "America/New_York", "2021-03-14T05:00:00.000Z"),
        ("2021-03-15T05:00:00Z", "day", 1, "America/New_York", "2021-03-15T04:00:00.000Z"),
        ("1999-12-29T23:59:59.999Z", "day", 2, "UTC", "1999-12-28T00:00:00.000Z"),
        ("2021-04-30T23:59:59.999Z", "month", 2, "UTC", "2021-03-01T00:00:00.000Z"),
        ("2021-06-30T23:59:59.999Z", "quarter", 2, "UTC", "2021-01-01T00:00:00.000Z"),
        ("2021-12-31T23:59:59.999Z", "year", 2, "UTC", "2020-01-01T00:00:00.000Z"),
        ("2000-01-01T12:00:00Z", "year", 100_000_000_000, "UTC", "2000-01-01T00:00:00.000Z"),
    ],
)
def test_dates_are_cut_to_bins(date: str, unit: str, size: int, zone: str, start: str) -> None:
    spec = {"date": "$d", "unit": unit, "binSize": size, "timezone": zone}
    assert iso(value({"$dateTrunc": spec}, d=parse_date(date))) == start
    assert iso(value({"$dateTrunc": {**spec, "binSize": "$n"}}, d=parse_date(date), n=float(size))) == start


def test_null_comes_before_every_complaint_about_other_arguments() -> None:
    trunc = {"$dateTrunc": {"date": "$d", "unit": "$u", "binSize": "$n", "timezone": "$z"}}
    assert value(trunc, u="H", n="x", z=1) is None
    assert value(trunc, d=1, u="century", n="1") is None
    add = {"$dateAdd": {"startDate": "$d", "unit": "$u", "amount": "$n"}}
    assert value(add, d="x", u="years") is None


def test_parts_carry_over() -> None:
    spec = {"$dateFromParts": {"year": "$y", "month": "$m", "day": "$d", "hour": "$h"}}
    assert iso(value(spec, y=2017, m=14, d=1, h=12)) == "2018-02-01T12:00:00.000Z"
    assert iso(value(spec, y=1, m=-15, d=1200, h=0)) == "0002-12-13T00:00:00.000Z"
    assert iso(value(spec, y=2024.0, m=2, d=30, h=-1)) == "2024-02-29T23:00:00.000Z"
    assert error_of(spec, y=2024, m=40_000, d=1, h=0) == "$dateFromParts takes -32768 to 32767 as 'month', got 40000"
    assert error_of(spec, y=1, m=-40, d=1, h=0) == "$dateFromParts gives a date outside the years 1 to 9999"


# -- problems of the definition -----------------------------------------------------------------------------------


def test_every_wrong_literal_is_a_problem_of_the_definition() -> None:
    wrong = {
        "a": {"$dateAdd": {"startDate": "$d", "unit": "days", "amount": 1.5}},
        "b": {"$dateTrunc": {"date": "$d", "unit": "day", "timezone": "Europe/Pariss"}},
        "c": {"$dateToString": {"date": "$d", "format": "%Y-%q"}},
        "d": {"$dateFromParts": {"year": "$y", "isoWeek": 1}},
        "e": {"$dateFromParts": {"month": 1}},
        "f": {"$year": {"date": "$d", "timezone": 5}},
        "g": {"$year": ["$d", "UTC"]},
        "h": {"$dateDiff": {"startDate": "$d", "unit": "day", "end": "$d"}},
        "i": {"$dateFromString": {"dateString": "$d", "format": "%Y-%w"}},
    }
    assert problems_of(wrong).splitlines() == [
        "x.a.$dateAdd.unit: unknown unit of time 'days'; did you mean 'day'?",
        "x.a.$dateAdd.amount: takes a whole number as 'amount', got 1.5",
        "x.b.$dateTrunc.timezone: unknown time zone 'Europe/Pariss'; did you mean 'Europe/Paris'?",
        "x.c.$dateToString.format: unknown letter '%q' in the format '%Y-%q'; known are %Y, %m, %d, %H, %M, %S, %L, "
        "%j, %G, %V, %u, %b, %B, %z, %Z, %U, %w, %%",
        "x.d.$dateFromParts: mixes year with isoWeek; give either dates or ISO weeks",
        "x.e.$dateFromParts: takes 'year' or 'isoWeekYear', got neither",
        "x.f.$year.timezone: a time zone is a string, got int",
        "x.g.$year: takes 1 argument, got 2",
        "x.h.$dateDiff.end: unknown argument; did you mean 'endDate'?",
        "x.h.$dateDiff.endDate: required argument is missing",
        "x.i.$dateFromString.format: '%w' in the format '%Y-%w' can be written but not read",
    ]


def test_a_value_that_is_no_date_is_named_by_its_type() -> None:
    assert error_of({"$year": "$d"}, d="2024") == "$year takes a date, got string"
    assert error_of({"$dateToParts": {"date": "$d"}}, d=5) == "$dateToParts takes a date, got int"
    assert error_of({"$dateToString": {"date": "$d"}}, d=True) == "$dateToString takes a date, got bool"


# -- inline source means what the function means ------------------------------------------------------------------

MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda d: d.replace(microsecond=d.microsecond // 1000 * 1000))
VALUES = st.one_of(MOMENTS, MOMENTS, st.text(max_size=3), st.integers(-3, 40), st.none(), st.just(MISSING))
PARTS = "year month dayOfMonth dayOfWeek dayOfYear hour minute second millisecond week isoWeek isoWeekYear isoDayOfWeek"
EXPRESSIONS: list[Any] = [
    *({f"${part}": "$a"} for part in PARTS.split()),
    *({f"${part}": {"date": "$a", "timezone": "Asia/Tokyo"}} for part in PARTS.split()),
    {"$hour": {"date": "$a", "timezone": "-03:30"}},
    {"$week": {"date": "$a"}},
    {"$dateAdd": {"startDate": "$a", "unit": "day", "amount": 300}},
    {"$dateAdd": {"startDate": "$a", "unit": "day", "amount": 1, "timezone": "Europe/Paris"}},
    {"$dateSubtract": {"startDate": "$a", "unit": "month", "amount": 1}},
    {"$dateSubtract": {"startDate": "$a", "unit": "year", "amount": -1}},
    {"$dateDiff": {"startDate": "$a", "endDate": "$b", "unit": "day"}},
    {"$dateTrunc": {"date": "$a", "unit": "month"}},
    {"$dateTrunc": {"date": "$a", "unit": "minute", "binSize": 7}},
    {"$dateTrunc": {"date": "$a", "unit": "hour", "binSize": 5, "timezone": "Asia/Kolkata"}},
    {"$dateTrunc": {"date": "$a", "unit": "day", "binSize": 3, "timezone": "+02"}},
    {"$dateTrunc": {"date": "$a", "unit": "day", "binSize": 366}},
    {"$dateToParts": {"date": "$a"}},
    {"$dateToString": {"date": "$a", "format": "%Y-%m-%d %H:%M:%S"}},
    {"$dateToString": {"date": "$a", "timezone": "Europe/Paris"}},
    {"$dateFromParts": {"year": 2024, "month": "$b", "day": "$b", "millisecond": 5}},
]


@settings(max_examples=40, deadline=None)
@given(a=VALUES, b=VALUES)
@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_inline_source_agrees_with_the_operators_function(expression: Any, a: Any, b: Any) -> None:
    assert_inline_source_agrees(expression, a=a, b=b)
