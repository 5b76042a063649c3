"""The pytest plugin: collects ``*.flowtest.yaml``, each of its tests as one of pytest's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fluxion_flow.errors import FluxionError

SUFFIX = ".flowtest.yaml"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Pytest's hook: a file of tests."""
    if file_path.name.endswith(SUFFIX):
        return FlowTestFile.from_parent(parent, path=file_path)
    return None


class FlowTestFile(pytest.File):
    """A file of tests."""

    def collect(self) -> Iterator[pytest.Item]:
        from fluxion_flow.testing.flowtest import read_tests

        try:
            tests = read_tests(self.path)
        except FluxionError as error:
            raise self.CollectError(str(error)) from None
        for test in tests:
            item = FlowTestItem.from_parent(self, name=test.name)
            item.test = test
            yield item


class FlowTestItem(pytest.Item):
    """One test."""

    test: Any

    def runtest(self) -> None:
        from fluxion_flow.testing.flowtest import TestFailed

        wrong = self.test.run().wrong
        if wrong:
            raise TestFailed("\n".join(wrong))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, FluxionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name
