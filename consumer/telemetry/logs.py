"""Facts as JSON lines on standard error, by structlog."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog

_LEVELS = {
    "retried": logging.INFO,
    **dict.fromkeys(
        (
            *("failed", "lost", "late", "paused", "restarted", "refused", "dropped", "unknown"),
            "waiting",
        ),
        logging.WARNING,
    ),
    "parked": logging.ERROR,
    **dict.fromkeys(
        (
            *("taken", "claimed", "planned", "changed", "written", "acknowledged"),
            *("admitted", "ended", "published", "confirmed", "called"),
        ),
        logging.DEBUG,
    ),
}
"""The level of a fact by its verb; info where none is given. Steps of a way are for debugging."""
_SPOKEN = logging.getLogger("workspace-lifecycle")
"""Knows from which level on lines are written; nothing is logged by it. structlog asks too, when it
has made a logger for the line, which most facts are not worth."""


def configure(level: str) -> None:
    """Write JSON lines of at least this level to standard error, libraries' lines among them."""
    number = logging.getLevelNamesMapping()[level.upper()]
    _SPOKEN.setLevel(number)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_Bridge()], force=True)


def log(fact: str, fields: Mapping[str, Any]) -> None:
    """Write one fact. A listener of `consumer.observe`."""
    level = _LEVELS.get(fact.rpartition(".")[2], logging.INFO)
    if _SPOKEN.isEnabledFor(level):
        told = {name: value for name, value in fields.items() if value is not None}
        structlog.get_logger().log(level, fact, **told)


class _Bridge(logging.Handler):
    """Turn the lines of libraries into ours, so that no line on standard error is not JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        text = record.getMessage()
        structlog.get_logger().log(level, "library.logged", logger=record.name, text=text)
