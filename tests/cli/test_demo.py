"""`demo`: the incident, on whatever stack there is."""

import asyncio
import re

import asyncpg

from consumer.devstack.management import call
from consumer.devstack.stack import Stack
from tests.cli.conftest import Cli


async def test_the_demo_plays_the_incident_and_leaves_nothing_behind(
    cli: Cli, stack: Stack, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Rejected with the list, carried out on demand, undone, repeated, deprecated; then gone."""
    ran = await cli(
        "demo",
        LIFECYCLE_AMQP_URL=stack.amqp_url,
        LIFECYCLE_MANAGEMENT_URL=stack.management_url,
        LIFECYCLE_DATABASE_URL=stack.database_url,
        AWS_ENDPOINT_URL=stack.aws_url,
    )
    assert ran.code == 0, ran.err
    told = [
        "409 descendants_exist",
        "5 would be paused",
        "EC2 says: stopped, stopped, stopped, stopped, stopped",
        "word for word; no second stop",
        "EC2 says: running, running, running, running, running",
        "X-Molecule-Implicit-Cascade: deprecated",
    ]
    places = [ran.out.find(text) for text in told]
    assert places == sorted(places)
    assert min(places) > 0
    vhosts = await asyncio.to_thread(call, stack.management_url, "GET", "vhosts")
    databases = await connection.fetch("select datname as name from pg_database")
    of_others = {one["name"] for one in [*vhosts, *databases]}
    assert not [name for name in of_others if str(ran.pid) in re.split("[-_]", name)]
