"""A front before moto's EC2 that can be slow, refuse an action, or lose its answer."""

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

_REFUSAL = (
    "<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors>"
    "<RequestID>r</RequestID></Response>"
)


class Front:
    """What the front does to calls; `asked` lists the actions that arrived.

    Attributes:
        delay: seconds every call waits.
        refusals: action -> (HTTP status, EC2's code); such a call does not reach moto.
        lost: actions that are carried out while the connection ends without an answer.

    """

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.url = ""
        self.delay = 0.0
        self.refusals: dict[str, tuple[int, str]] = {}
        self.lost: set[str] = set()
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        """Answer one call; None means that its answer is lost."""
        action = parse_qs(body.decode())["Action"][0]
        with self.lock:
            self.asked.append(action)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            time.sleep(self.delay)
            if action in self.refusals:
                status, code = self.refusals[action]
                return status, _REFUSAL.format(code=code).encode()
            told = self._forward(body, headers)
            return None if action in self.lost else told
        finally:
            with self.lock:
                self.at_once -= 1

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
            if told is not None:
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
