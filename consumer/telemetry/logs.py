"""Facts as JSON lines on standard error, by structlog."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog

_LEVELS = {
    "retried": "info",
    "failed": "warning",
    "lost": "warning",
    "late": "warning",
    "paused": "warning",
    "restarted": "warning",
    "refused": "warning",
    "dropped": "warning",
    "parked": "error",
    **dict.fromkeys(
        (
            *("taken", "claimed", "planned", "changed", "written", "acknowledged"),
            *("admitted", "ended", "published", "confirmed"),
        ),
        "debug",
    ),
}
"""The level of a fact by its verb; info where none is given. Steps of a way are for debugging."""


def configure(level: str) -> None:
    """Write JSON lines of at least this level to standard error, libraries' lines among them."""
    number = logging.getLevelNamesMapping()[level.upper()]
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
    told = {name: value for name, value in fields.items() if value is not None}
    level = _LEVELS.get(fact.rpartition(".")[2], "info")
    getattr(structlog.get_logger(), level)(fact, **told)


class _Bridge(logging.Handler):
    """Turn the lines of libraries into ours, so that no line on standard error is not JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger()
        write = logger.error if record.levelno >= logging.ERROR else logger.warning
        write("library.logged", logger=record.name, text=record.getMessage())
