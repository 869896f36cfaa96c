"""What a program says of itself at /readyz."""

import asyncio
import time
import urllib.error
import urllib.request

from consumer.devstack.server import free_ports

_PATIENCE = 60.0


class Ready:
    """Asks a program that was given `listen`."""

    def __init__(self) -> None:
        (port,) = free_ports(1)
        self.listen = f"127.0.0.1:{port}"

    async def until(self, status: int, *words: str) -> None:
        """Wait for a status whose body has these words."""
        found, body, end = 0, "", time.monotonic() + _PATIENCE
        while found != status or not all(word in body for word in words):
            assert time.monotonic() < end, f"still {found} {body}, not {status} {words}"
            await asyncio.sleep(0.05)
            found, body = await asyncio.to_thread(self._asked)

    def _asked(self) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.listen}/readyz", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)
