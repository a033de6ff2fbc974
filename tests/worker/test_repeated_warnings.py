"""What a library says in every step stands once in the log, with the number of times at the end."""

import io
import logging
import warnings

import pytest

from expctl.worker.repeated_warnings import RepeatedWarnings


@pytest.fixture
def log():
    """A logger with two handlers, one of its own and one above it, and what each has written."""
    outer, inner = io.StringIO(), io.StringIO()
    library, module = logging.getLogger("alibrary"), logging.getLogger("alibrary.module")
    handlers = [(library, logging.StreamHandler(outer)), (module, logging.StreamHandler(inner))]
    for logger, handler in handlers:
        logger.addHandler(handler)
    repeated = RepeatedWarnings()
    repeated.install()
    yield module, outer, inner, repeated
    repeated.uninstall()
    for logger, handler in handlers:
        logger.removeHandler(handler)


def test_a_warning_is_written_once_by_each_handler_and_counted(log, capsys):
    logger, outer, inner, repeated = log
    for step in range(3):
        logger.warning("`%s` is deprecated", "gradient_checkpointing_enable")
        logger.warning("step %d", step)
    once = "`gradient_checkpointing_enable` is deprecated\nstep 0\nstep 1\nstep 2\n"
    assert outer.getvalue() == inner.getvalue() == once
    repeated.report()
    assert capsys.readouterr().err == "expctl: 2 more times: `gradient_checkpointing_enable` is deprecated\n"


def test_errors_and_notes_pass_however_often(log):
    logger, outer, _, _ = log
    logger.setLevel(logging.INFO)
    for _ in range(2):
        logger.error("failed")
        logger.info("note")
    assert outer.getvalue() == "failed\nnote\n" * 2


def test_pythons_own_warnings_are_shown_once_although_their_registry_is_forgotten(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, category, *where: shown.append(str(message)))
    repeated = RepeatedWarnings()
    repeated.install()
    for _ in range(4):
        warnings.simplefilter("always")  # which is how the registry is forgotten
        warnings.warn("old field", FutureWarning, stacklevel=1)
    repeated.uninstall()
    assert shown == ["old field"]
    repeated.report()
    assert "3 more times: old field" in capsys.readouterr().err


def test_nothing_is_reported_where_nothing_was_repeated(log, capsys):
    logger, _, _, repeated = log
    logger.warning("once")
    repeated.report()
    assert capsys.readouterr().err == ""


def test_afterwards_warnings_are_as_before(log):
    logger, outer, _, repeated = log
    repeated.uninstall()
    logger.warning("again")
    logger.warning("again")
    assert outer.getvalue() == "again\nagain\n"
