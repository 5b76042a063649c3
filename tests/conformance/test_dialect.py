"""Where Fluxion's documentation and MongoDB's manual part: what is taken from it, and where the manual decides.

Fluxion's additions change no pipeline that MongoDB takes. Where the two give the same words different meanings, and
where a documented output is a slip of its page, MongoDB's manual decides.
"""

import datetime

import pytest

from fluxion_flow import run_batch
from fluxion_flow.core.program import DocumentError

NOW = datetime.datetime(2024, 4, 14, 12, 0, tzinfo=datetime.timezone.utc)


def one(document, expression):
    """The value of an expression for one document."""
    (found,) = run_batch([document], [{"$project": {"_id": 0, "r": expression}}], now=NOW)
    return found["r"]


# -- Fluxion's additions ---------------------------------------------------------------------------------------------


def test_function_takes_a_python_lambda_in_either_language():
    for lang in ("python", "js"):
        function = {"body": "lambda price: price * 2", "args": ["$price"], "lang": lang}
        assert one({"price": 100}, {"$function": function}) == 200
    passed = {"body": "lambda score: 'pass' if score >= 50 else 'fail'", "args": ["$score"], "lang": "js"}
    assert [one({"score": score}, {"$function": passed}) for score in (45, 75)] == ["fail", "pass"]
    total = {"body": "lambda a, b: a + b", "args": ["$a", "$b"], "lang": "js"}
    assert one({"a": 5, "b": 7}, {"$function": total}) == 12
    chosen = {
        "body": "lambda category, price: price * 0.9 if category == 'A' else price * 1.1",
        "args": ["$category", "$price"],
        "lang": "js",
    }
    assert one({"category": "A", "price": 100}, {"$function": chosen}) == 90.0
    assert one({"category": "B", "price": 200}, {"$function": chosen}) == pytest.approx(220.0)


def test_function_takes_a_javascript_function():
    pytest.importorskip("quickjs", reason="the extra fluxion-flow[js] is not installed")
    total = {"body": "function(a, b) { return a + b; }", "args": ["$a", "$b"], "lang": "js"}
    assert one({"a": 2, "b": 3}, {"$function": total}) == 5
    discounted = {
        "body": "function(p, d) {\n  return Math.round(p - (p * d));\n}",
        "args": ["$price", "$discount"],
        "lang": "js",
    }
    assert one({"price": 200, "discount": 0.15}, {"$function": discounted}) == 170


def test_nin_is_an_expression_too():
    assert one({"roles": ["viewer", "auditor"]}, {"$nin": ["admin", "$roles"]}) is True
    assert one({"roles": ["admin"]}, {"$nin": ["admin", "$roles"]}) is False


def test_unset_field_takes_a_name_that_is_computed():
    document = {"fields": {"x": 1, "y": 2}, "removeKey": "y"}
    assert one(document, {"$unsetField": {"field": "$removeKey", "input": "$fields"}}) == {"x": 1}
    with pytest.raises(DocumentError) as raised:
        one({"fields": {"x": 1}}, {"$unsetField": {"field": "$removeKey", "input": "$fields"}})
    assert str(raised.value) == (
        "stages[0].$project.r.$unsetField: $unsetField takes a string as its field, got missing"
    )


@pytest.mark.parametrize("variable", ["$$NOW", "$$CLUSTER_TIME"])
def test_the_time_of_the_run_stands_anywhere_in_a_document(variable):
    stages = [{"$addFields": {"audit": {"createdAt": variable, "createdBy": "$user"}}}]
    assert run_batch([{"user": "Alice"}], stages, now=NOW) == [
        {"user": "Alice", "audit": {"createdAt": NOW, "createdBy": "Alice"}}
    ]


def test_now_and_root_go_together():
    stages = [{"$addFields": {"updatedAt": "$$NOW", "originalDoc": "$$ROOT"}}]
    document = {"product": "Monitor", "price": 250}
    assert run_batch([document], stages, now=NOW) == [{**document, "updatedAt": NOW, "originalDoc": document}]


def test_sample_rate_is_a_stage_with_a_seed_that_draws_the_same_again():
    events = [{"eventId": i} for i in range(1000)]
    stages = [{"$sampleRate": {"rate": 0.5, "seed": 42}}]
    drawn = run_batch(events, stages)
    assert 400 < len(drawn) < 600
    assert run_batch(events, stages, seed=7) == drawn
    assert run_batch(events, [{"$sampleRate": {"rate": 0.5, "seed": 43}}]) != drawn


def test_sub_pipelines_stand_by_name_and_version_between_other_stages():
    """The documented example; its one event comes out once when one of the two enrichments passes it on."""
    pipelines = {
        "normalize@3": [{"$set": {"tenantId": {"$toLower": "$tenantId"}}}],
        "enrich-geo": [{"$match": {"geo": {"$exists": True}}}],
        "enrich-fraud": [{"$set": {"fraudScore": {"$ifNull": ["$fraudScore", 0]}}}],
    }
    stages = [
        {"$match": {"eventDate": {"$gte": "2025-01-01"}}},
        {"$set": {"tenantId": {"$ifNull": ["$tenantId", "default"]}}},
        {
            "$subPipeline": [
                "normalize@3",
                {"parallel": ["enrich-geo", {"ref": "enrich-fraud", "onError": "bubble"}], "merge": "concat"},
            ]
        },
        {"$group": {"_id": "$tenantId", "eventCount": {"$sum": 1}, "avgScore": {"$avg": "$fraudScore"}}},
    ]
    documents = [
        {"eventDate": "2025-03-01", "tenantId": "ACME", "fraudScore": 0.5},
        {"eventDate": "2024-12-15", "tenantId": "beta", "fraudScore": 0.2},
    ]
    assert run_batch(documents, stages, pipelines=pipelines) == [{"_id": "acme", "eventCount": 1, "avgScore": 0.5}]


def test_branches_that_are_concatenated_each_give_their_documents():
    stages = [{"$subPipeline": [{"parallel": ["same", "same"], "merge": "concat"}]}]
    assert run_batch([{"a": 1}], stages, pipelines={"same": []}) == [{"a": 1}, {"a": 1}]


def test_sub_pipelines_run_one_after_another_with_stages_written_out_between_them():
    """The documented example, with a last pipeline that does what its output shows."""
    pipelines = {
        "cleanse": [{"$match": {"value": {"$type": "number"}}}],
        "post-process": [{"$project": {"value": "$score", "tenantId": 1}}],
    }
    inline = {"pipeline": [{"$addFields": {"score": {"$multiply": ["$value", 1.1]}}}]}
    documents = [{"value": 10, "tenantId": "acme"}, {"value": 5, "tenantId": "globex"}]
    found = run_batch(documents, [{"$subPipeline": ["cleanse", inline, "post-process"]}], pipelines=pipelines)
    assert found == [{"value": 11.0, "tenantId": "acme"}, {"value": 5.5, "tenantId": "globex"}]


def test_shift_looks_back_where_it_is_told_to():
    """``by: 1`` is the next document, as in MongoDB; ``back: 1`` the one before, as in Fluxion's example."""
    orders = [
        {"customer": {"tier": "gold"}, "eventTime": time, "order": {"total": total}}
        for time, total in ((1, 100), (2, 120), (3, 90))
    ]
    output = {
        "prevOrder": {"$shift": {"output": "$order.total", "back": 1, "default": None}},
        "nextOrder": {"$shift": {"output": "$order.total", "by": 1}},
        "rank": {"$rank": {}},
        "velocity": {
            "$derivative": {"input": "$order.total", "unit": "minute"},
            "window": {"documents": [-1, 0]},
        },
    }
    stage = {"$setWindowFields": {"partitionBy": "$customer.tier", "sortBy": {"eventTime": 1}, "output": output}}
    found = run_batch(orders, [stage])
    assert [{name: document[name] for name in output} for document in found] == [
        {"prevOrder": None, "nextOrder": 120, "rank": 1, "velocity": None},
        {"prevOrder": 100, "nextOrder": 90, "rank": 2, "velocity": 20.0},
        {"prevOrder": 120, "nextOrder": None, "rank": 3, "velocity": -30.0},
    ]


# -- where MongoDB's manual decides ----------------------------------------------------------------------------------


def test_dates_are_dates_and_text_is_turned_into_one_first():
    day = datetime.datetime(2024, 4, 8, tzinfo=datetime.timezone.utc)
    week = {"unit": "day", "amount": 7}
    order = {"order_date": "2024-04-01T00:00:00"}
    with pytest.raises(DocumentError, match=r"\$dateAdd takes a date, got string"):
        one(order, {"$dateAdd": {"startDate": "$order_date", **week}})
    assert one(order, {"$dateAdd": {"startDate": {"$toDate": "$order_date"}, **week}}) == day
    text = {"$dateToString": {"date": {"$dateAdd": {"startDate": {"$toDate": "$order_date"}, **week}}}}
    assert one(order, text) == "2024-04-08T00:00:00.000Z"


def test_convert_gives_a_date_and_keeps_what_stands_for_errors():
    launch = {"$convert": {"input": "$releaseDateStr", "to": "date", "onError": "$$CLUSTER_TIME"}}
    assert one({"releaseDateStr": "2024-03-01"}, launch) == datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)
    assert one({"releaseDateStr": "soon"}, launch) == NOW


def test_substr_cp_counts_code_points():
    assert one({"label": "नमस्ते"}, {"$substrCP": ["$label", 0, 3]}) == "नमस"


def test_ln_is_the_natural_logarithm():
    assert one({"value": 54.6}, {"$ln": "$value"}) == 4.000033882750859


def test_bucket_auto_puts_every_document_into_a_bucket():
    prices = [{"price": price} for price in (1200, 800, 400)]
    stage = {"$bucketAuto": {"groupBy": "$price", "buckets": 2, "output": {"count": {"$sum": 1}}}}
    assert run_batch(prices, [stage]) == [
        {"_id": {"min": 400, "max": 1200}, "count": 2},
        {"_id": {"min": 1200, "max": 1200}, "count": 1},
    ]
    totals = [{"total": total} for total in (45, 120, 300, 550, 800, 1100)]
    output = {"count": {"$sum": 1}, "averageTotal": {"$avg": "$total"}}
    assert run_batch(totals, [{"$bucketAuto": {"groupBy": "$total", "buckets": 3, "output": output}}]) == [
        {"_id": {"min": 45, "max": 300}, "count": 2, "averageTotal": 82.5},
        {"_id": {"min": 300, "max": 800}, "count": 2, "averageTotal": 425.0},
        {"_id": {"min": 800, "max": 1100}, "count": 2, "averageTotal": 950.0},
    ]


def test_buckets_are_half_open():
    prices = [{"price": price} for price in (900, 600, 75, 20)]
    stage = {"$bucket": {"groupBy": "$price", "boundaries": [0, 100, 500, 1000], "default": "Other"}}
    assert run_batch(prices, [stage]) == [{"_id": 0, "count": 2}, {"_id": 500, "count": 2}]
