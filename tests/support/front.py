"""A front before moto's EC2 that throttles, fails, delays, loses answers and lies about states."""

import asyncio
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import parse_qs

_REFUSAL = (
    "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
    "<RequestID>r</RequestID></Response>"
)
_THROTTLED = (503, "RequestLimitExceeded", "Request limit exceeded.")
_CHANGES = frozenset({"StopInstances", "StartInstances"})
_STATE = re.compile(
    rb"(<instanceId>(i-\w+)</instanceId>.*?<instanceState>\s*<code>)\d+(</code>\s*<name>)\w+",
    re.DOTALL,
)


class Front:
    """What the front does to calls; `asked` lists the actions that arrived.

    Attributes:
        delay: seconds every call waits.
        refusals: action -> (HTTP status, EC2's code); such a call does not reach moto.
        lost: actions that are carried out while the connection ends without an answer.
        bad: instance id -> (HTTP status, code, message), by which a whole call that changes it is
            refused, as EC2 does.
        throttled: the share of calls that EC2 takes no notice of, drawn from `seed`.
        lag: for how many looks a machine that was just stopped is still said to be running.

    """

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.url = ""
        self.delay = 0.0
        self.refusals: dict[str, tuple[int, str]] = {}
        self.lost: set[str] = set()
        self.bad: dict[str, tuple[int, str, str]] = {}
        self.throttled = 0.0
        self.lag = 0
        self.random = Random(0)
        self._lags: dict[bytes, int] = {}
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()

    def forget(self) -> None:
        """Lie no longer about what was stopped."""
        self.lag = 0
        self._lags.clear()

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        """Answer one call; None means that its answer is lost."""
        asked = parse_qs(body.decode())
        action = asked["Action"][0]
        ids = [value for name, (value,) in asked.items() if name.startswith("InstanceId.")]
        with self.lock:
            self.asked.append(action)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            throttled = self.random.random() < self.throttled
        try:
            time.sleep(self.delay)
            if (refusal := self._refusal(action, ids, throttled=throttled)) is not None:
                status, code, message = refusal
                return status, _REFUSAL.format(code=code, message=message).encode()
            told = self._forward(body, headers)
            if action == "StopInstances":
                self._lags.update({one.encode(): self.lag for one in ids})
            return None if action in self.lost else (told[0], _STATE.sub(self._lie, told[1]))
        finally:
            with self.lock:
                self.at_once -= 1

    def _refusal(
        self, action: str, ids: list[str], *, throttled: bool
    ) -> tuple[int, str, str] | None:
        if throttled:
            return _THROTTLED
        if action in self.refusals:
            return *self.refusals[action], "no"
        bad = [self.bad[one] for one in ids if one in self.bad] if action in _CHANGES else []
        return bad[0] if bad else None

    def _lie(self, found: re.Match[bytes]) -> bytes:
        """Tell a machine's state as it was a while ago."""
        left = self._lags.get(found[2], 0)
        if not left:
            return found[0]
        self._lags[found[2]] = left - 1
        return found[1] + b"16" + found[3] + b"running"

    def _forward(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        request = urllib.request.Request(self.behind, body, headers)
        try:
            with urllib.request.urlopen(request) as told:
                return told.status, told.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()


@contextmanager
def front_before(behind: str) -> Iterator[Front]:
    """Listen on a free port for the time of a block."""
    front = Front(behind)

    class Calls(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take one call."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
            told = front.answer(body, kept)
            self.close_connection = True
            if told is None:
                return
            with suppress(ConnectionError):  # whoever asked may have been killed
                self.send_response(told[0])
                self.send_header("Content-Length", str(len(told[1])))
                self.end_headers()
                self.wfile.write(told[1])

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Calls) as server:
        front.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield front
        finally:
            server.shutdown()
            thread.join()


async def until(so: Callable[[], bool]) -> None:
    """Wait until something is so of a front, whose threads cannot wake us."""
    async with asyncio.timeout(20):
        while not so():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
