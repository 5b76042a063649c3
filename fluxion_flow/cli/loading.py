"""Finding the pipeline that a target names: a module, a Python file, a name in one, or a definition file.

A module is imported, and so its own code runs; no pipeline of it does. What it prints goes to standard error.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import PipelineError, Problems, did_you_mean
from .failures import TargetError

if TYPE_CHECKING:
    from bytewax.dataflow import Dataflow

    from ..compiler.plan import Plan
    from ..dsl.model import StreamingPipelineDefinition

DEFINITIONS = (".yaml", ".yml", ".json")
PREFERRED = ("definition", "flow", "pipeline")
"""The names that are looked for first in a module."""


@dataclass(frozen=True)
class Found:
    """What a target names: a definition; or a dataflow that was made without one."""

    definition: StreamingPipelineDefinition | None
    flow: Dataflow | None = None


def load(target: str) -> StreamingPipelineDefinition:
    """The definition that a target names, checked as far as making it checks it.

    Raises :class:`TargetError` when there is none, :class:`PipelineError` with the problems of one.
    """
    found = find(target)
    if found.definition is None:
        what = "is a Bytewax dataflow that was made by hand, not a pipeline"
        raise TargetError(target, what, "name a definition, or run it with: fluxion run")
    return found.definition


def find(target: str) -> Found:
    """What a target names. Raises as :func:`load` does."""
    place, name = _split(target)
    if not name and Path(place).suffix.lower() in DEFINITIONS:
        from ..dsl.model import StreamingPipelineDefinition

        _known_here()  # functions are named by their modules
        return Found(StreamingPipelineDefinition.from_file(place))
    with contextlib.redirect_stdout(sys.stderr):
        module = _import(target, place)
        return _named(target, module, name) if name else _any_in(target, module)


def plan(target: str) -> Plan:
    """The plan of the pipeline that a target names, with the settings of the environment.

    Raises :class:`PipelineError` with every problem of the definition, the environment and the plan.
    """
    return planned(load(target))


def planned(definition: StreamingPipelineDefinition) -> Plan:
    """The plan of a definition, with the settings of the environment; raises as :func:`plan` does."""
    from ..compiler.plan import make_plan

    problems = Problems()
    try:
        definition = definition.resolved()
    except PipelineError as error:
        problems.found += error.problems
    problems.found += definition.check()
    problems.raise_if_any()
    made = make_plan(definition)
    made.problems.raise_if_any()
    return made


def looks_right(target: str) -> None:
    """Raise :class:`TargetError` when there is no such file or module; nothing is imported but parent packages."""
    place, _ = _split(target)
    if Path(place).suffix.lower() in (*DEFINITIONS, ".py") or os.sep in place:
        if not _file(place).is_file():
            raise _no_file(target, place)
        return
    _known_here()
    try:
        spec = importlib.util.find_spec(place)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise _no_module(target, place)


# -- modules -------------------------------------------------------------------------------------------------------


def _split(target: str) -> tuple[str, str]:
    """A target's place and the name or call in it; a drive letter or a colon in a file's name stays with the file."""
    if os.path.exists(target):
        return target, ""
    place, _, name = target.partition(":")
    return place, name.strip()


def _file(place: str) -> Path:
    path = Path(place)
    return path if path.suffix == ".py" or path.suffix.lower() in DEFINITIONS else path.with_name(f"{path.name}.py")


def _import(target: str, place: str) -> ModuleType:
    file: Path | None = None
    if place.endswith(".py") or os.sep in place:
        file = _file(place)
        if not file.is_file():
            raise _no_file(target, place)
        file, module_name, root = _package(file)
        if sys.path[:1] != [str(root)]:
            sys.path.insert(0, str(root))
    else:
        module_name = place
        _known_here()
    try:
        if file is not None and _taken(module_name, file):
            return _import_apart(module_name, file)
        return importlib.import_module(module_name)
    except PipelineError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise _no_module(target, module_name) from None
        raise _broken(target, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(target, error) from error


def _known_here() -> None:
    """Let modules of the working directory be found, as `python -m` does."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _package(file: Path) -> tuple[Path, str, Path]:
    """A file's path, the name of its module from the outermost package in, and the directory that holds that."""
    file = file.resolve()
    names = [] if file.stem == "__init__" else [file.stem]
    root = file.parent
    while (root / "__init__.py").exists():
        names.insert(0, root.name)
        root = root.parent
    return file, ".".join(names), root


def _taken(module_name: str, file: Path) -> bool:
    """Whether another module than this file has been imported under its name."""
    known = sys.modules.get(module_name)
    return known is not None and Path(getattr(known, "__file__", None) or "").resolve() != file


def _import_apart(module_name: str, file: Path) -> ModuleType:
    name = f"{module_name}@{file}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _no_file(target: str, place: str) -> TargetError:
    path = _file(place)
    beside = (
        [p.name for p in path.parent.glob("*") if p.suffix in (".py", *DEFINITIONS)] if path.parent.is_dir() else []
    )
    return TargetError(target, "there is no such file", did_you_mean(path.name, beside))


def _no_module(target: str, module_name: str) -> TargetError:
    package, _, last = module_name.rpartition(".")
    folder = Path(package.replace(".", os.sep)) if package else Path()
    names = [p.stem for p in folder.glob("*.py")] if folder.is_dir() else []
    hint = did_you_mean(last, names) or "name a module, a Python file or a definition file"
    return TargetError(target, f"there is no module '{module_name}'", hint)


def _broken(target: str, error: BaseException) -> TargetError:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    place = _place(error.__traceback__)
    return TargetError(target, f"cannot be imported: {text}{place}")


def _place(trace: TracebackType | None) -> str:
    """Where an error was raised: the innermost line that is not the import system's or a library's."""
    place = ""
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if not path.startswith("<") and "site-packages" not in path and not path.startswith(sys.prefix):
            inside = Path(__file__).parents[1] in Path(path).parents
            place = place if inside else f" ({os.path.relpath(path)}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place


# -- what stands in a module ---------------------------------------------------------------------------------------


def _named(target: str, module: ModuleType, name: str) -> Found:
    attribute, arguments, keywords = _call(target, name)
    if not hasattr(module, attribute):
        public = [known for known in vars(module) if not known.startswith("_")]
        hint = did_you_mean(attribute, public)
        raise TargetError(target, f"module '{module.__name__}' has no '{attribute}'", hint)
    value = getattr(module, attribute)
    if inspect.isfunction(value):
        try:
            value = value(*arguments, **keywords)
        except PipelineError:
            raise
        except Exception as error:
            raise _broken(target, error) from error
    found = _found(value)
    if found is None:
        what = f"'{attribute}' is a {type(value).__name__}, not a pipeline"
        raise TargetError(target, what, "name a definition, a builder or a compiled flow")
    return found


def _call(target: str, name: str) -> tuple[str, list[Any], dict[str, Any]]:
    """A name, or a call of one with literal arguments, as Bytewax takes it: ``load('orders.yaml')``."""
    with contextlib.suppress(SyntaxError, ValueError):
        expression = ast.parse(name, mode="eval").body
        if isinstance(expression, ast.Name):
            return expression.id, [], {}
        if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Name):
            arguments = [ast.literal_eval(argument) for argument in expression.args]
            keywords = {str(k.arg): ast.literal_eval(k.value) for k in expression.keywords}
            return expression.func.id, arguments, keywords
    raise TargetError(target, f"'{name}' is neither a name nor a call with plain values", "such as flows.orders:flow")


def _any_in(target: str, module: ModuleType) -> Found:
    for name in PREFERRED:
        found = _found(vars(module).get(name))
        if found is not None:
            return found
    candidates = list(_candidates(module))
    if not candidates:
        raise TargetError(target, "holds no pipeline", "call one 'definition' or 'flow'")
    if len(candidates) > 1:
        names = ", ".join(name for name, _ in candidates)
        raise TargetError(target, f"holds several pipelines: {names}", f"name one: {target}:{candidates[0][0]}")
    return candidates[0][1]


def _candidates(module: ModuleType) -> Iterator[tuple[str, Found]]:
    for name, value in vars(module).items():
        found = None if name.startswith("_") else _found(value)
        if found is not None:
            yield name, found


def _found(value: Any) -> Found | None:
    """What a value of a module is: a definition, a builder's, a compiled flow's, or a dataflow made by hand."""
    if value is None or isinstance(value, (str, int, float, dict, list, ModuleType)):
        return None
    from ..dsl.builder import PipelineBuilder
    from ..dsl.model import StreamingPipelineDefinition

    if isinstance(value, StreamingPipelineDefinition):
        return Found(value)
    if isinstance(value, PipelineBuilder):
        return Found(value.build())
    bytewax = sys.modules.get("bytewax.dataflow")
    if bytewax is None or not isinstance(value, bytewax.Dataflow):
        return None
    from ..compiler.explain import plan_of

    made = plan_of(value)
    return Found(None, value) if made is None else Found(made.definition, value)
