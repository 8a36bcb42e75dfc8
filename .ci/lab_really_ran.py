"""A pytest plugin for CI: the session fails if no test of the lab passed, or if any test was skipped.

A green run without the lab would say nothing about what meshtop claims.
"""

from __future__ import annotations

import pytest


class _Count:
    def __init__(self) -> None:
        self.lab_passed = 0
        self.skipped: list[str] = []

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self.skipped.append(report.nodeid)
        elif report.when == "call" and report.passed and "lab" in report.keywords:
            self.lab_passed += 1

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skipped.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.complaints() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("lab")
        for line in self.complaints() or [f"{self.lab_passed} tests of the lab passed, none was skipped"]:
            terminalreporter.line(line)

    def complaints(self) -> list[str]:
        lines = [f"skipped: {nodeid}" for nodeid in self.skipped]
        if not self.lab_passed:
            lines.append("no test of the lab passed")
        return lines


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Count(), "lab-really-ran")
