"""Every expression operator beside the plain Python that does the same for documents like these.

Plain Python knows its data: it checks no types and no absent fields. Where there is none worth writing, the reason
stands in its place. ``SLOWER`` holds why an operator may take more than twice as long.
"""

from __future__ import annotations

import datetime
import random
from typing import Any

Document = dict[str, Any]
UTC = datetime.timezone.utc


def make_documents(count: int, seed: int = 7) -> list[Document]:
    """Documents with a few fields of every common type, the same ones for the same number."""
    chance = random.Random(seed)
    words = ["amber", "Birch", "cedar", "Dune", "ember", "fern", "Grove", "hazel"]
    documents = []
    for i in range(count):
        day = datetime.datetime(2024, 1, 1, tzinfo=UTC) + datetime.timedelta(
            milliseconds=chance.randrange(366 * 86_400_000)
        )
        ints = [chance.randint(0, 50) for _ in range(10)]
        documents.append(
            {
                "a": chance.randint(1, 100),
                "b": chance.randint(1, 100),
                "n": chance.randint(1, 28),
                "x": chance.uniform(1, 100),
                "y": chance.uniform(1, 100),
                "u": chance.uniform(0.05, 0.95),
                "yes": True,
                "no": i % 2 == 0,
                "t": " ".join(chance.choices(words, k=5)),
                "s": f"  {chance.choice(words)} ",
                "path": "/".join(chance.choices(words, k=4)),
                "digits": str(chance.randint(1, 10**6)),
                "decimals": str(chance.uniform(1, 100)),
                "d": day,
                "e": day + datetime.timedelta(hours=chance.randint(1, 9000)),
                "iso": day.strftime("%Y-%m-%dT%H:%M:%S.") + f"{day.microsecond // 1000:03d}Z",
                "ints": ints,
                "others": [chance.randint(0, 50) for _ in range(10)],
                "floats": [chance.uniform(0, 50) for _ in range(10)],
                "flags": [True] * 10,
                "o": {"k1": i, "k2": "v", "k3": 1.5},
                "p": {"k3": 2.5, "k4": None},
                "array": str(ints),
                "object": f'{{"k1": {i}, "k2": "v", "k3": 1.5}}',
                "pairs": [{"k": f"k{j}", "v": j} for j in range(5)],
            }
        )
    return documents


_ISO = "'%Y-%m-%dT%H:%M:%S.'"
_MILLIS = "f'{d['d'].microsecond // 1000:03d}Z'"

TABLE: dict[str, tuple[Any, str]] = {
    "$abs": ({"$abs": "$a"}, "abs(d['a'])"),
    "$acos": ({"$acos": "$u"}, "math.acos(d['u'])"),
    "$acosh": ({"$acosh": "$x"}, "math.acosh(d['x'])"),
    "$add": ({"$add": ["$x", "$y"]}, "d['x'] + d['y']"),
    "$allElementsTrue": ({"$allElementsTrue": ["$flags"]}, "all(d['flags'])"),
    "$and": ({"$and": ["$yes", "$no"]}, "d['yes'] and d['no']"),
    "$anyElementTrue": ({"$anyElementTrue": ["$flags"]}, "any(d['flags'])"),
    "$arrayElemAt": ({"$arrayElemAt": ["$ints", -1]}, "d['ints'][-1]"),
    "$arrayToObject": ({"$arrayToObject": "$pairs"}, "{p['k']: p['v'] for p in d['pairs']}"),
    "$asin": ({"$asin": "$u"}, "math.asin(d['u'])"),
    "$asinh": ({"$asinh": "$x"}, "math.asinh(d['x'])"),
    "$atan": ({"$atan": "$x"}, "math.atan(d['x'])"),
    "$atan2": ({"$atan2": ["$y", "$x"]}, "math.atan2(d['y'], d['x'])"),
    "$atanh": ({"$atanh": "$u"}, "math.atanh(d['u'])"),
    "$avg": ({"$avg": "$floats"}, "math.fsum(d['floats']) / len(d['floats'])"),
    "$binarySize": ({"$binarySize": "$t"}, "len(d['t'].encode())"),
    "$bitAnd": ({"$bitAnd": ["$a", "$b"]}, "d['a'] & d['b']"),
    "$bitNot": ({"$bitNot": "$a"}, "~d['a']"),
    "$bitOr": ({"$bitOr": ["$a", "$b"]}, "d['a'] | d['b']"),
    "$bitXor": ({"$bitXor": ["$a", "$b"]}, "d['a'] ^ d['b']"),
    "$ceil": ({"$ceil": "$x"}, "float(math.ceil(d['x']))"),
    "$cmp": ({"$cmp": ["$a", "$b"]}, "(d['a'] > d['b']) - (d['a'] < d['b'])"),
    "$concat": ({"$concat": ["$t", " ", "$path"]}, "f\"{d['t']} {d['path']}\""),
    "$concatArrays": ({"$concatArrays": ["$ints", "$floats"]}, "d['ints'] + d['floats']"),
    "$cond": ({"$cond": ["$no", "$a", "$b"]}, "d['a'] if d['no'] else d['b']"),
    "$convert": ({"$convert": {"input": "$digits", "to": "int"}}, "int(d['digits'])"),
    "$cos": ({"$cos": "$x"}, "math.cos(d['x'])"),
    "$cosh": ({"$cosh": "$u"}, "math.cosh(d['u'])"),
    "$dateAdd": (
        {"$dateAdd": {"startDate": "$d", "unit": "hour", "amount": "$a"}},
        "d['d'] + timedelta(hours=d['a'])",
    ),
    "$dateDiff": (
        {"$dateDiff": {"startDate": "$d", "endDate": "$e", "unit": "day"}},
        "d['e'].toordinal() - d['d'].toordinal()",
    ),
    "$dateFromParts": (
        {"$dateFromParts": {"year": 2024, "month": 2, "day": "$n"}},
        "datetime(2024, 2, d['n'], tzinfo=UTC)",
    ),
    "$dateFromString": (
        {"$dateFromString": {"dateString": "$iso"}},
        "datetime.strptime(d['iso'], '%Y-%m-%dT%H:%M:%S.%fZ').replace(tzinfo=UTC)",
    ),
    "$dateSubtract": (
        {"$dateSubtract": {"startDate": "$d", "unit": "minute", "amount": "$a"}},
        "d['d'] - timedelta(minutes=d['a'])",
    ),
    "$dateToParts": (
        {"$dateToParts": {"date": "$d"}},
        "{'year': (t := d['d']).year, 'month': t.month, 'day': t.day, 'hour': t.hour, 'minute': t.minute,"
        " 'second': t.second, 'millisecond': t.microsecond // 1000}",
    ),
    "$dateToString": (
        {"$dateToString": {"date": "$d"}},
        f"d['d'].strftime({_ISO}) + {_MILLIS}".replace("f'{d['d']", 'f\'{d["d"]'),
    ),
    "$dateTrunc": (
        {"$dateTrunc": {"date": "$d", "unit": "hour"}},
        "d['d'].replace(minute=0, second=0, microsecond=0)",
    ),
    "$dayOfMonth": ({"$dayOfMonth": "$d"}, "d['d'].day"),
    "$dayOfWeek": ({"$dayOfWeek": "$d"}, "d['d'].isoweekday() % 7 + 1"),
    "$dayOfYear": ({"$dayOfYear": "$d"}, "d['d'].timetuple().tm_yday"),
    "$degreesToRadians": ({"$degreesToRadians": "$x"}, "math.radians(d['x'])"),
    "$divide": ({"$divide": ["$x", "$y"]}, "d['x'] / d['y']"),
    "$eq": ({"$eq": ["$a", "$b"]}, "d['a'] == d['b']"),
    "$exp": ({"$exp": "$u"}, "math.exp(d['u'])"),
    "$filter": ({"$filter": {"input": "$ints", "cond": {"$gt": ["$$this", 25]}}}, "[i for i in d['ints'] if i > 25]"),
    "$first": ({"$first": "$ints"}, "d['ints'][0]"),
    "$firstN": ({"$firstN": {"input": "$ints", "n": 3}}, "d['ints'][:3]"),
    "$floor": ({"$floor": "$x"}, "float(math.floor(d['x']))"),
    "$function": ({"$function": {"body": "lambda a: a * 2", "args": ["$a"]}}, "double(d['a'])"),
    "$getField": ({"$getField": {"field": "k1", "input": "$o"}}, "d['o']['k1']"),
    "$gt": ({"$gt": ["$a", "$b"]}, "d['a'] > d['b']"),
    "$gte": ({"$gte": ["$a", "$b"]}, "d['a'] >= d['b']"),
    "$hash": ({"$hash": {"input": "$t", "algorithm": "md5"}}, "md5(d['t'].encode()).digest()"),
    "$hexHash": ({"$hexHash": {"input": "$t", "algorithm": "md5"}}, "md5(d['t'].encode()).hexdigest().upper()"),
    "$hour": ({"$hour": "$d"}, "d['d'].hour"),
    "$ifNull": ({"$ifNull": ["$none", "$a"]}, "d['a'] if d.get('none') is None else d['none']"),
    "$in": ({"$in": ["$a", [1, 2, 3, 4, 5, 6, 7, 8]]}, "d['a'] in EIGHT"),
    "$indexOfArray": ({"$indexOfArray": ["$ints", 51]}, "d['ints'].index(51) if 51 in d['ints'] else -1"),
    "$indexOfBytes": ({"$indexOfBytes": ["$t", "fern"]}, "d['t'].encode().find(b'fern')"),
    "$indexOfCP": ({"$indexOfCP": ["$t", "fern"]}, "d['t'].find('fern')"),
    "$isArray": ({"$isArray": "$ints"}, "isinstance(d['ints'], list)"),
    "$isNumber": ({"$isNumber": "$x"}, "isinstance(d['x'], (int, float, Decimal)) and not isinstance(d['x'], bool)"),
    "$isoDayOfWeek": ({"$isoDayOfWeek": "$d"}, "d['d'].isoweekday()"),
    "$isoWeek": ({"$isoWeek": "$d"}, "d['d'].isocalendar()[1]"),
    "$isoWeekYear": ({"$isoWeekYear": "$d"}, "d['d'].isocalendar()[0]"),
    "$last": ({"$last": "$ints"}, "d['ints'][-1]"),
    "$lastN": ({"$lastN": {"input": "$ints", "n": 3}}, "d['ints'][-3:]"),
    "$let": ({"$let": {"vars": {"v": "$x"}, "in": {"$multiply": ["$$v", "$$v"]}}}, "(v := d['x']) * v"),
    "$literal": ({"$literal": "$price"}, "'$price'"),
    "$ln": ({"$ln": "$x"}, "math.log(d['x'])"),
    "$log": ({"$log": ["$x", 2]}, "math.log(d['x']) / math.log(2)"),
    "$log10": ({"$log10": "$x"}, "math.log10(d['x'])"),
    "$lt": ({"$lt": ["$a", "$b"]}, "d['a'] < d['b']"),
    "$lte": ({"$lte": ["$a", "$b"]}, "d['a'] <= d['b']"),
    "$ltrim": ({"$ltrim": {"input": "$s"}}, "d['s'].lstrip()"),
    "$map": ({"$map": {"input": "$ints", "in": {"$multiply": ["$$this", 2]}}}, "[i * 2 for i in d['ints']]"),
    "$max": ({"$max": "$ints"}, "max(d['ints'])"),
    "$maxN": ({"$maxN": {"input": "$ints", "n": 3}}, "nlargest(3, d['ints'])"),
    "$median": ({"$median": {"input": "$floats", "method": "approximate"}}, "float(median_low(d['floats']))"),
    "$mergeObjects": ({"$mergeObjects": ["$o", "$p"]}, "{**d['o'], **d['p']}"),
    "$millisecond": ({"$millisecond": "$d"}, "d['d'].microsecond // 1000"),
    "$min": ({"$min": "$ints"}, "min(d['ints'])"),
    "$minN": ({"$minN": {"input": "$ints", "n": 3}}, "nsmallest(3, d['ints'])"),
    "$minute": ({"$minute": "$d"}, "d['d'].minute"),
    "$mod": ({"$mod": ["$a", 7]}, "d['a'] % 7"),
    "$month": ({"$month": "$d"}, "d['d'].month"),
    "$multiply": ({"$multiply": ["$x", "$y"]}, "d['x'] * d['y']"),
    "$ne": ({"$ne": ["$a", "$b"]}, "d['a'] != d['b']"),
    "$nin": ({"$nin": ["$a", [1, 2, 3, 4, 5, 6, 7, 8]]}, "d['a'] not in EIGHT"),
    "$not": ({"$not": ["$yes"]}, "not d['yes']"),
    "$objectToArray": ({"$objectToArray": "$o"}, "[{'k': k, 'v': v} for k, v in d['o'].items()]"),
    "$or": ({"$or": ["$no", "$yes"]}, "d['no'] or d['yes']"),
    "$percentile": (
        {"$percentile": {"input": "$floats", "p": [0.5, 0.9], "method": "approximate"}},
        "[(s := sorted(d['floats']))[4], s[8]]",
    ),
    "$pow": ({"$pow": ["$x", 2]}, "d['x'] ** 2"),
    "$radiansToDegrees": ({"$radiansToDegrees": "$x"}, "math.degrees(d['x'])"),
    "$range": ({"$range": [0, "$a"]}, "list(range(0, d['a']))"),
    "$reduce": (
        {"$reduce": {"input": "$floats", "initialValue": 0, "in": {"$add": ["$$value", "$$this"]}}},
        "reduce(lambda value, this: value + this, d['floats'], 0)",
    ),
    "$regexFind": (
        {"$regexFind": {"input": "$t", "regex": "fern|dune"}},
        "{'match': m[0], 'idx': m.start(), 'captures': list(m.groups())} if (m := PATTERN.search(d['t'])) else None",
    ),
    "$regexFindAll": (
        {"$regexFindAll": {"input": "$t", "regex": "fern|dune"}},
        "[{'match': m[0], 'idx': m.start(), 'captures': list(m.groups())} for m in PATTERN.finditer(d['t'])]",
    ),
    "$regexMatch": (
        {"$regexMatch": {"input": "$t", "regex": "fern|dune"}},
        "PATTERN.search(d['t']) is not None",
    ),
    "$replaceAll": (
        {"$replaceAll": {"input": "$path", "find": "/", "replacement": "."}},
        "d['path'].replace('/', '.')",
    ),
    "$replaceOne": (
        {"$replaceOne": {"input": "$path", "find": "/", "replacement": "."}},
        "d['path'].replace('/', '.', 1)",
    ),
    "$reverseArray": ({"$reverseArray": "$ints"}, "d['ints'][::-1]"),
    "$round": ({"$round": ["$x", 2]}, "round(d['x'], 2)"),
    "$rtrim": ({"$rtrim": {"input": "$s"}}, "d['s'].rstrip()"),
    "$second": ({"$second": "$d"}, "d['d'].second"),
    "$setDifference": (
        {"$setDifference": ["$ints", "$others"]},
        "list(dict.fromkeys(i for i in d['ints'] if i not in (o := set(d['others']))))",
    ),
    "$setEquals": ({"$setEquals": ["$ints", "$others"]}, "set(d['ints']) == set(d['others'])"),
    "$setField": ({"$setField": {"field": "k4", "input": "$o", "value": "$a"}}, "{**d['o'], 'k4': d['a']}"),
    "$setIntersection": (
        {"$setIntersection": ["$ints", "$others"]},
        "list(dict.fromkeys(i for i in d['ints'] if i in (o := set(d['others']))))",
    ),
    "$setIsSubset": ({"$setIsSubset": ["$ints", "$others"]}, "set(d['ints']) <= set(d['others'])"),
    "$setUnion": ({"$setUnion": ["$ints", "$others"]}, "list(dict.fromkeys(d['ints'] + d['others']))"),
    "$sigmoid": ({"$sigmoid": "$u"}, "1 / (1 + math.exp(-d['u']))"),
    "$sin": ({"$sin": "$x"}, "math.sin(d['x'])"),
    "$sinh": ({"$sinh": "$u"}, "math.sinh(d['u'])"),
    "$size": ({"$size": "$ints"}, "len(d['ints'])"),
    "$slice": ({"$slice": ["$ints", 2, 3]}, "d['ints'][2:5]"),
    "$sortArray": ({"$sortArray": {"input": "$ints", "sortBy": 1}}, "sorted(d['ints'])"),
    "$split": ({"$split": ["$path", "/"]}, "d['path'].split('/')"),
    "$sqrt": ({"$sqrt": "$x"}, "math.sqrt(d['x'])"),
    "$stdDevPop": ({"$stdDevPop": "$floats"}, "pstdev(d['floats'])"),
    "$stdDevSamp": ({"$stdDevSamp": "$floats"}, "stdev(d['floats'])"),
    "$strLenBytes": ({"$strLenBytes": "$t"}, "len(d['t'].encode())"),
    "$strLenCP": ({"$strLenCP": "$t"}, "len(d['t'])"),
    "$strcasecmp": (
        {"$strcasecmp": ["$t", "$path"]},
        "((p := d['t'].upper()) > (q := d['path'].upper())) - (p < q)",
    ),
    "$substr": ({"$substr": ["$t", 2, 5]}, "d['t'].encode()[2:7].decode()"),
    "$substrBytes": ({"$substrBytes": ["$t", 2, 5]}, "d['t'].encode()[2:7].decode()"),
    "$substrCP": ({"$substrCP": ["$t", 2, 5]}, "d['t'][2:7]"),
    "$subtract": ({"$subtract": ["$x", "$y"]}, "d['x'] - d['y']"),
    "$sum": ({"$sum": "$floats"}, "math.fsum(d['floats'])"),
    "$switch": (
        {
            "$switch": {
                "branches": [
                    {"case": {"$lt": ["$a", 30]}, "then": "low"},
                    {"case": {"$lt": ["$a", 60]}, "then": "middle"},
                ],
                "default": "high",
            }
        },
        "'low' if d['a'] < 30 else 'middle' if d['a'] < 60 else 'high'",
    ),
    "$tan": ({"$tan": "$x"}, "math.tan(d['x'])"),
    "$tanh": ({"$tanh": "$u"}, "math.tanh(d['u'])"),
    "$toArray": ({"$toArray": "$array"}, "decode(d['array'])"),
    "$toBool": ({"$toBool": "$a"}, "bool(d['a'])"),
    "$toDate": ({"$toDate": "$iso"}, "datetime.strptime(d['iso'], '%Y-%m-%dT%H:%M:%S.%fZ').replace(tzinfo=UTC)"),
    "$toDecimal": ({"$toDecimal": "$decimals"}, "Decimal(d['decimals'])"),
    "$toDouble": ({"$toDouble": "$decimals"}, "float(d['decimals'])"),
    "$toHashedIndexKey": (
        {"$toHashedIndexKey": "$a"},
        "int.from_bytes(md5(HASH_HEAD + d['a'].to_bytes(8, 'little')).digest()[:8], 'little', signed=True)",
    ),
    "$toInt": ({"$toInt": "$digits"}, "int(d['digits'])"),
    "$toLong": ({"$toLong": "$digits"}, "int(d['digits'])"),
    "$toLower": ({"$toLower": "$t"}, "d['t'].lower()"),
    "$toObject": ({"$toObject": "$object"}, "decode(d['object'])"),
    "$toString": ({"$toString": "$a"}, "str(d['a'])"),
    "$toUpper": ({"$toUpper": "$t"}, "d['t'].upper()"),
    "$trim": ({"$trim": {"input": "$s"}}, "d['s'].strip()"),
    "$trunc": ({"$trunc": "$x"}, "float(math.trunc(d['x']))"),
    "$type": ({"$type": "$t"}, "TYPES[type(d['t'])]"),
    "$unsetField": (
        {"$unsetField": {"field": "k2", "input": "$o"}},
        "{k: v for k, v in d['o'].items() if k != 'k2'}",
    ),
    "$week": ({"$week": "$d"}, "int(d['d'].strftime('%U'))"),
    "$year": ({"$year": "$d"}, "d['d'].year"),
    "$zip": ({"$zip": {"inputs": ["$ints", "$floats"]}}, "[list(z) for z in zip(d['ints'], d['floats'])]"),
}
"""By operator: an expression, and Python source of the same for a document ``d``."""

LEFT_OUT = {
    "$bsonSize": "plain Python has no BSON to measure",
    "$createObjectId": "an id that a replay repeats has no like in plain Python",
    "$deserializeEJSON": "plain Python has no Extended JSON",
    "$encStrContains": "always refused",
    "$encStrEndsWith": "always refused",
    "$encStrNormalizedEq": "always refused",
    "$encStrStartsWith": "always refused",
    "$meta": "plain Python has no stream to ask",
    "$rand": "a draw that a replay repeats has no like in plain Python",
    "$sampleRate": "a draw that a replay repeats has no like in plain Python",
    "$serializeEJSON": "plain Python has no Extended JSON",
    "$subtype": "always 0, or refused",
    "$toObjectId": "always refused",
    "$toUUID": "always refused for text that is no UUID, and a binary value otherwise",
    "$tsIncrement": "there are no timestamps but from MongoDB",
    "$tsSecond": "there are no timestamps but from MongoDB",
}
"""Operators without a plain Python equivalent, each with the reason."""

_TYPES = 'the types of all items are looked at first: true is no number, and 1, 1.0 and "1" are told apart'
_NAMED = "a call with named arguments, whose input and n are checked for every document"
_JSON = "the text is also searched for integers beyond 64 bits and for null bytes, which no document holds"
_TEXT = (
    "Python takes spaces, underscores and digits of any script, MongoDB none of them, so the text is looked at first"
)

SLOWER: dict[str, str] = {
    "$arrayToObject": "every item may be an object of k and v or an array of two, with any name, and is looked at",
    "$avg": _TYPES,
    "$convert": _TEXT,
    "$firstN": _NAMED,
    "$function": "a function may keep or change its arguments and give what no document holds: both are looked at",
    "$indexOfArray": _TYPES,
    "$lastN": _NAMED,
    "$map": "items may be of any type, so every item is looked at before it is multiplied",
    "$max": _TYPES,
    "$median": f"{_TYPES}; and NaN is left out",
    "$min": _TYPES,
    "$percentile": f"{_TYPES}; and NaN is left out",
    "$setEquals": _TYPES,
    "$setIsSubset": _TYPES,
    "$setUnion": _TYPES,
    "$sortArray": _TYPES,
    "$sum": _TYPES,
    "$toArray": _JSON,
    "$toDecimal": _TEXT,
    "$toDouble": _TEXT,
    "$toHashedIndexKey": "numbers of all types have one hash, so what is hashed depends on the value",
    "$toInt": _TEXT,
    "$toLong": _TEXT,
    "$toObject": _JSON,
}
"""Operators that may take more than twice as long as plain Python, each with the reason."""
