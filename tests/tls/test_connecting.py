"""TLS to broker and database: let in with the right papers, refused in words with any other."""

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

import asyncpg
import pytest

from consumer.broker.connection import RefusedError, connected
from consumer.message import UnavailableError
from consumer.store.migrate import migrate
from consumer.store.pool import NotAdmittedError, opened
from tests.tls.conftest import USER, Papers

CERTIFICATE = "the server's certificate is not accepted"
OURS = "the server does not accept our certificate, or none"


async def test_with_a_ca_and_a_certificate_the_broker_lets_us_in(
    broker: str, papers: Papers
) -> None:
    """By password over TLS, and by the certificate alone."""
    with_password = broker.replace("//", "//guest:guest@")
    for url in (f"{with_password}?{papers.query()}", f"{broker}?auth=external&{papers.query()}"):
        async with connected(url, "test") as link:
            await link.channel("a test")
            assert not link.lost.done()


async def entered(room: AbstractAsyncContextManager[object]) -> None:
    """Connect, and leave."""
    async with room:
        pass


async def refusal(connecting: Callable[[], Awaitable[object]], meanwhile: str = "") -> str:
    """Connect until the server's refusal came through; give its words.

    A server that closes at once may have its last word overtaken by the end of the connection: with
    TLS 1.3 a client is through before its certificate was looked at (RFC 8446, section 4.4.2.4).
    Until then nothing is said that is not `meanwhile`.
    """
    while True:
        with pytest.raises(UnavailableError) as caught:
            await connecting()
        if isinstance(caught.value, RefusedError | NotAdmittedError):
            return str(caught.value)
        assert meanwhile in str(caught.value)


@pytest.mark.parametrize(
    ("ca", "who", "host", "said"),
    [
        ("other-ca", "client", "localhost", f"{CERTIFICATE} .*name the CA that signed it.*cafile="),
        ("ca", "client", "127.0.0.1", f"{CERTIFICATE} .*'127.0.0.1'.*the host as the certificate"),
        ("ca", None, "localhost", f"{OURS} .*CERTIFICATE_REQUIRED.*certfile= and keyfile="),
        ("ca", "stranger", "localhost", f"{OURS} .*UNKNOWN_CA"),
    ],
    ids=["wrong CA", "wrong host", "no certificate", "another CA's certificate"],
)
async def test_the_broker_is_refused_or_refuses(
    broker: str, papers: Papers, ca: str, who: str | None, host: str, said: str
) -> None:
    """What to change is in the text, by the name it has in the URL."""
    url = f"{broker.replace('//localhost', f'//guest:guest@{host}')}?{papers.query(ca, who)}"
    assert re.search(said, await refusal(lambda: entered(connected(url, "test"))))


async def test_a_system_without_the_ca_does_not_trust_the_broker(
    broker: str, papers: Papers
) -> None:
    """Without `cafile` the system's own CAs count, and the host's name is compared."""
    query = papers.query().partition("&")[2]
    assert "cafile" not in query
    assert CERTIFICATE in await refusal(lambda: entered(connected(f"{broker}?{query}", "test")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("client.key", "server.key"), "KEY_VALUES_MISMATCH.*name PEM files"),
        (("client.pem", "none.pem"), r"certfile=.*none\.pem cannot be read: No such file"),
        (("ca.pem", "client.key"), "TLS could not be begun .*cafile="),
    ],
)
async def test_files_that_cannot_be_used_are_named(
    broker: str, papers: Papers, change: tuple[str, str], said: str
) -> None:
    """It ends there and does not wait for them."""
    with pytest.raises(RefusedError, match=said):
        async with connected(f"{broker}?{papers.query().replace(*change)}", "test"):
            pass


async def test_tls_where_none_is_spoken_is_told_so(amqp_url: str, papers: Papers) -> None:
    """The port is the wrong one."""
    url = f"{amqp_url.replace('amqp:', 'amqps:')}?{papers.query()}"
    with pytest.raises(RefusedError, match="no TLS is spoken on that port"):
        async with connected(url, "test"):
            pass


async def test_with_a_ca_and_a_certificate_the_database_lets_us_in(
    database: str, papers: Papers
) -> None:
    """The connection is encrypted, and the role is the certificate's."""
    url = f"{database}?sslmode=verify-full&{papers.query(database=True)}"
    async with opened(url, 2) as pool, pool.connection() as connection:
        own = "select usename::text, ssl from pg_stat_ssl join pg_stat_activity using (pid)"
        row = await connection.fetchrow(f"{own} where pid = pg_backend_pid()")
    assert row is not None
    assert tuple(row) == (USER, True)
    assert await migrate(url) == []


@pytest.mark.parametrize(
    ("ca", "who", "host", "mode", "said"),
    [
        ("other-ca", "client", "localhost", "verify-full", f"{CERTIFICATE} .*sslrootcert="),
        ("ca", "client", "127.0.0.1", "verify-full", f"{CERTIFICATE} .*'127.0.0.1'"),
        ("ca", None, "localhost", "verify-full", "requires a valid client certificate"),
        ("ca", "stranger", "localhost", "verify-full", f"{OURS} .*UNKNOWN_CA.*sslcert="),
        ("ca", "client", "localhost", "prefer", "sslrootcert= takes sslmode=verify-full"),
        ("none", "client", "localhost", "verify-full", r"sslrootcert=.*none\.pem cannot be read"),
    ],
    ids=["wrong CA", "wrong host", "no certificate", "another CA's", "not verified", "no file"],
)
async def test_the_database_is_refused_or_refuses(
    database: str, papers: Papers, ca: str, who: str | None, host: str, mode: str, said: str
) -> None:  # fmt: skip
    """Neither the program nor `migrate` waits for what has to be changed."""
    files = papers.query(ca, who, database=True)
    url = f"{database.replace('localhost', host)}?sslmode={mode}&{files}"
    for connecting in (lambda: entered(opened(url, 2)), lambda: migrate(url)):
        assert re.search(said, await refusal(connecting, "closed in the middle"))


async def test_a_database_without_tls_is_told_so(database_url: str, papers: Papers) -> None:
    """Nothing is sent in the open where TLS was asked for."""
    direct = await asyncpg.connect(database_url)
    has_tls = await direct.fetchval("show ssl") == "on"
    await direct.close()
    if has_tls:
        pytest.skip("the database of the tests has TLS")
    host = urlsplit(database_url).hostname or ""
    url = f"{database_url.replace(host, 'localhost')}?sslmode=verify-full"
    with pytest.raises(NotAdmittedError, match="has no TLS, and sslmode= asks for it"):
        async with opened(f"{url}&{papers.query(who=None, database=True)}", 1):
            pass
