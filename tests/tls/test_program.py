"""The program over TLS alone: end to end with certificates, and an end where it cannot start."""

from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from consumer.client import LifecycleClient
from schemas.events import Summary
from tests.support.program import process
from tests.tls.conftest import USER, Papers


@pytest.fixture
def urls(broker: str, database: str, papers: Papers) -> tuple[str, str]:
    """Give both URLs with everything that is needed, and no password."""
    return (
        f"{broker}?auth=external&user_id={USER}&{papers.query()}",
        f"{database}?sslmode=verify-full&{papers.query(database=True)}",
    )


async def test_it_runs_over_tls_with_certificates_alone(
    urls: tuple[str, str], tmp_path: Path
) -> None:
    """A policy file goes by the name in the certificate, which the broker confirms."""
    amqp_url, database_url = urls
    policy = tmp_path / "policy.toml"
    policy.write_text(f"[[rule]]\nname = 'certified'\nusers = ['{USER}']\n")
    workspace_id = uuid4()
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "insert into workspaces (id, name, status) values ($1, 'w', 'online')", workspace_id
    )
    async with process(amqp_url, database_url, LIFECYCLE_POLICY_FILE=str(policy)) as program:
        await program.until("program.started")
        async with LifecycleClient(amqp_url, source="tests") as client:
            assert isinstance(await client.pause(workspace_id), Summary)
    await connection.close()


@pytest.mark.parametrize("wrong", ["amqp", "database"])
async def test_what_waiting_cannot_mend_ends_the_start(
    urls: tuple[str, str], papers: Papers, wrong: str
) -> None:
    """One line says what to change, the exit code is 1, and no secret is in it."""
    ca = (str(papers.folder / "ca.pem"), str(papers.folder / "other-ca.pem"))
    amqp_url, database_url = urls
    if wrong == "amqp":
        amqp_url = amqp_url.replace(*ca).replace("//", "//guest:hunter2@")
    else:
        database_url = database_url.replace(*ca).replace(f"{USER}@", f"{USER}:hunter2@")
    async with process(amqp_url, database_url, LIFECYCLE_LOG_LEVEL="error") as program:
        assert program.process.stderr is not None
        told = (await program.process.stderr.read()).decode()
        assert await program.process.wait() == 1
    assert "the server's certificate is not accepted" in told
    assert "hunter2" not in told
    assert urlsplit(amqp_url).scheme == "amqps"
