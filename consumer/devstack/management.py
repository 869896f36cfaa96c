"""The few calls of RabbitMQ's management HTTP API that tests and demo need."""

import json
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from consumer.devstack.server import StackError


def call(management_url: str, method: str, path: str, body: object = None) -> Any:
    """Call `/api/{path}` and give the parsed answer, or None where it is empty.

    Raises:
        StackError: it does not answer, or refuses.

    """
    try:
        with urllib.request.urlopen(
            _request(management_url, method, path, body), timeout=30
        ) as answer:
            text = answer.read()
            return json.loads(text) if text else None
    except (OSError, urllib.error.URLError) as error:
        raise StackError(
            f"RabbitMQ's management API does not serve {method} {path} at "
            f"{_without_credentials(management_url)} ({error}): set LIFECYCLE_MANAGEMENT_URL"
        ) from None


def answers(management_url: str, path: str = "overview") -> bool:
    """Tell whether a management API answers there, to these credentials, and has no complaint."""
    try:
        with urllib.request.urlopen(_request(management_url, "GET", path), timeout=2):
            return True
    except (OSError, urllib.error.URLError):
        return False


def user_of(management_url: str) -> str:
    """Give the user name in a management URL."""
    return unquote(urlsplit(management_url).username or "guest")


def _request(
    management_url: str, method: str, path: str, body: object = None
) -> urllib.request.Request:
    parts = urlsplit(management_url)
    secret = unquote(parts.password or "guest")
    token = b64encode(f"{user_of(management_url)}:{secret}".encode()).decode()
    return urllib.request.Request(
        f"{_without_credentials(management_url)}/api/{quote(path, safe='/')}",
        method=method,
        data=json.dumps(body if body is not None else {}).encode() if method != "GET" else None,
        headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
    )


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or 15672}"
