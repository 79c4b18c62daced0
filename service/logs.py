"""Structured logs: for people on a terminal, JSON lines otherwise. Log lines carry fixed sentences and key-values."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import structlog

LogFormat = Literal["auto", "console", "json"]
_TRACEBACK = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""Without local variables: among them are database addresses with passwords, tokens and payloads."""

_CHATTY = ("aiokafka", "httpx", "httpcore", "asyncio", "alembic", "uvicorn.access", "uvicorn.error", "sqlalchemy")


def configure(style: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging once, at the start of a command."""
    out = stream or sys.stderr
    console = style == "console" or (style == "auto" and out.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.RichTracebackFormatter(show_locals=False)
        )
        if console
        else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    if not console:
        shared.append(structlog.processors.ExceptionRenderer(_TRACEBACK))
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=out),
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer], foreign_pre_chain=shared
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.INFO))
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
