"""A broker and a database that speak TLS alone, and certificates of a CA of the tests' own."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import trustme

from consumer.devstack.broker import private_node
from consumer.devstack.platform import create_workspaces
from consumer.devstack.postgres import private_postgres
from consumer.devstack.server import StackError, free_ports
from consumer.store.migrate import migrate

USER = "lifecycle"
"""The name in the good certificate: the broker's user, and the database's role."""
_BROKER = """
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
"""
_ACCESS = f"hostssl all {USER} 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 trust\n"


@dataclass(frozen=True)
class Papers:
    """A folder with `ca.pem`, `other-ca.pem`, and pairs for server, client and stranger."""

    folder: Path

    def query(self, ca: str = "ca", who: str | None = "client", *, database: bool = False) -> str:
        """Write the part of a URL's query that names the files."""
        names = (
            ("sslrootcert", "sslcert", "sslkey") if database else ("cafile", "certfile", "keyfile")
        )
        files = [f"{ca}.pem", *((f"{who}.pem", f"{who}.key") if who else ())]
        return "&".join(
            f"{name}={self.folder / file}" for name, file in zip(names, files, strict=False)
        )


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Issue the certificates: the stranger's by another CA."""
    folder, ca, other = tmp_path_factory.mktemp("papers"), trustme.CA(), trustme.CA()
    issued = {
        "server": ca.issue_cert("localhost"),
        "client": ca.issue_cert("client@example", common_name=USER),
        "stranger": other.issue_cert("stranger@example", common_name=USER),
    }
    ca.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    for name, one in issued.items():
        one.private_key_pem.write_to_path(folder / f"{name}.key")
        one.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return Papers(folder)


@pytest.fixture(scope="session")
def broker(papers: Papers) -> Iterator[str]:
    """Run a broker that wants a client certificate; give the part of its URL before the query."""
    (port,) = free_ports(1)
    more = _BROKER.format(port=port, folder=papers.folder)
    with private_node(print, more, ("rabbitmq_auth_mechanism_ssl",)) as node:
        node.ctl("add_user", USER, "unused")
        node.ctl("set_permissions", USER, ".*", ".*", ".*")
        yield f"amqps://localhost:{port}/"


@pytest.fixture(scope="session")
def database(papers: Papers) -> Iterator[str]:
    """Run a database that wants TLS, and a certificate of one role; give its URL without query."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if not found:
        pytest.skip("no PostgreSQL with TLS is installed (the wheel has none): apt-get install it")
    files = {
        "server.key": (papers.folder / "server.key").read_bytes(),
        "server.crt": (papers.folder / "server.pem").read_bytes(),
        "root.crt": (papers.folder / "ca.pem").read_bytes(),
        "pg_hba.conf": _ACCESS.encode(),
    }
    settings = ("ssl=on", "ssl_ca_file=root.crt")
    try:
        with private_postgres(files, settings, found[0].parent) as url:
            address = url.replace("postgres@127.0.0.1", f"{USER}@localhost")
            asyncio.run(_prepare(url.replace("127.0.0.1", "localhost"), papers))
            yield address
    except StackError as error:
        pytest.skip(f"the PostgreSQL that is installed does not start with TLS: {error}")


async def _prepare(url: str, papers: Papers) -> None:
    with_ca = f"{url}?sslmode=verify-full&{papers.query(who=None, database=True)}"
    direct = await asyncpg.connect(with_ca)
    await direct.execute(f"create role {USER} superuser login")
    await direct.close()
    await create_workspaces(with_ca)
    await migrate(with_ca)
