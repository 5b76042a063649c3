"""Which pipeline a target names."""

import json
import sys

import pytest

from fluxion_flow import PipelineError
from fluxion_flow.cli.loading import load, looks_right

PIPELINE = """
from fluxion_flow import pipeline
{name} = pipeline("{title}").source("memory", documents=[]).sink("memory"){build}
"""


def module(title="p", name="definition", build=".build()"):
    return PIPELINE.format(title=title, name=name, build=build)


def problem(target):
    with pytest.raises(PipelineError) as raised:
        load(target)
    return str(raised.value)


@pytest.mark.parametrize("target", ["shop.orders", "shop/orders.py", "shop/orders", "shop.orders:definition"])
def test_a_module_in_a_package(write, target):
    write("shop/__init__.py", "")
    write("shop/orders.py", module("orders"))
    assert load(target).name == "orders"


@pytest.mark.parametrize("name", ["definition", "flow", "pipeline", "anything"])
def test_a_builder_of_any_name(write, name):
    write("one.py", module("built", name, ""))
    assert load("one").name == "built"


def test_a_definition_file(write):
    data = {"name": "n", "source": {"type": "memory", "documents": []}, "sink": {"type": "memory"}}
    write("one.json", json.dumps(data))
    assert load("one.json").name == "n"


def test_a_module_that_only_has_a_compiled_flow(write):
    write("compiled.py", module("compiled", "flow", ".compile()"))
    assert load("compiled").name == "compiled"
    assert load("compiled:flow").name == "compiled"


def test_a_call_with_plain_values_as_bytewax_takes_it(write):
    write(
        "made.py",
        """
        from fluxion_flow import pipeline
        def make(name, suffix=""):
            return pipeline(name + suffix).source("memory", documents=[]).sink("memory")
        """,
    )
    assert load("made:make('a', suffix='-b')").name == "a-b"


def test_two_files_of_the_same_name_are_two_modules(write):
    write("a/flow.py", module("first"))
    write("b/flow.py", module("second"))
    assert (load("a/flow.py").name, load("b/flow.py").name) == ("first", "second")


def test_a_file_that_is_called_like_a_library_does_not_replace_it(write):
    write("json.py", module("mine"))
    assert load("json.py").name == "mine"
    assert sys.modules["json"] is json


def test_what_a_module_prints_goes_to_standard_error(write, capfd):
    write("loud.py", "print('hello')\n" + module())
    load("loud")
    assert capfd.readouterr() == ("", "hello\n")


def test_nothing_runs_when_a_module_is_loaded(write, here):
    write("in.jsonl", '{"a": 1}\n')
    write(
        "quiet.py",
        """
        from fluxion_flow import pipeline
        definition = pipeline("quiet").source("files", path="in.jsonl").sink("files", path="out.jsonl").build()
        flow = definition.compile()
        """,
    )
    load("quiet")
    assert not (here / "out.jsonl").exists()


def test_every_problem_of_a_module_s_definition_is_reported(write):
    write(
        "bad.py",
        """
        from fluxion_flow import pipeline
        definition = pipeline("bad").source("files").set({"a": {"$divide": [1]}}).sink("nowhere").build()
        """,
    )
    assert problem("bad") == (
        "source.path: required by connector 'files'\n"
        "stages[0].$set.a.$divide: takes 2 arguments, got 1\n"
        "sink.type: unknown connector 'nowhere'; installed: eventhubs, files, http, kafka, memory, sql, stdio"
    )


def test_a_target_that_is_not_there(write):
    write("orders.py", module())
    write("orders.yaml", "")
    assert problem("oders") == "oders: there is no module 'oders'; did you mean 'orders'?"
    assert problem("oders.py") == "oders.py: there is no such file; did you mean 'orders.py'?"
    assert problem("x/y.py") == "x/y.py: there is no such file"
    assert problem("oders.yml") == "oders.yml: cannot be read (No such file or directory); correct the path"
    assert (
        problem("orders:defintion")
        == "orders:defintion: module 'orders' has no 'defintion'; did you mean 'definition'?"
    )
    assert problem("orders:pipeline.x") == (
        "orders:pipeline.x: 'pipeline.x' is neither a name nor a call with plain values; such as flows.orders:flow"
    )


def test_a_module_without_a_pipeline(write):
    write("empty.py", "x = 1\n")
    assert problem("empty") == "empty: holds no pipeline; call one 'definition' or 'flow'"
    assert (
        problem("empty:x") == "empty:x: 'x' is a int, not a pipeline; name a definition, a builder or a compiled flow"
    )


def test_a_module_with_several_pipelines(write):
    write("many.py", module("a", "first") + module("b", "second"))
    assert problem("many") == "many: holds several pipelines: first, second; name one: many:first"


def test_a_flow_that_was_made_by_hand(write):
    write("hand.py", "from bytewax.dataflow import Dataflow\nflow = Dataflow('hand')\n")
    assert problem("hand") == (
        "hand: is a Bytewax dataflow that was made by hand, not a pipeline; "
        "name a definition, or run it with: fluxion run"
    )


def test_a_module_that_fails_names_the_line(write):
    write("boom.py", "def f():\n    return {}['k']\n\nf()\n")
    assert problem("boom") == "boom: cannot be imported: KeyError: 'k' (boom.py, line 2)"
    write("needs.py", "import nothing_of_this_name\n")
    assert problem("needs.py") == (
        "needs.py: cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name' (needs.py, line 1)"
    )
    write("leaves.py", "raise SystemExit(3)\n")
    assert problem("leaves") == "leaves: cannot be imported: SystemExit: 3 (leaves.py, line 1)"


def test_a_target_is_looked_for_without_importing_it(write):
    write("boom.py", "1 / 0\n")
    looks_right("boom")
    looks_right("boom.py")
    looks_right("boom:flow")
    with pytest.raises(PipelineError, match=r"^bom: there is no module 'bom'; did you mean 'boom'\?$"):
        looks_right("bom")
    with pytest.raises(PipelineError, match=r"^bom\.py: there is no such file; did you mean 'boom\.py'\?$"):
        looks_right("bom.py")
    with pytest.raises(PipelineError, match=r"^bom\.yaml: there is no such file; did you mean 'boom\.py'\?$"):
        looks_right("bom.yaml")
