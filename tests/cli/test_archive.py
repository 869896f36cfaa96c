"""`archive`: what is in the stream is in S3 when it ends."""

import pytest

from consumer.audit.bucket import Bucket
from tests.cli.conftest import Cli
from tests.support.caller import WireCaller
from tests.support.forest import Forest


@pytest.mark.usefixtures("program")
async def test_once_archives_what_is_there(
    cli: Cli, caller: WireCaller, forest: Forest, bucket_url: str
) -> None:
    """It says how many messages; doctor finds them."""
    await caller.pause(await forest.plant("top"))
    await caller.all_out()
    ran = await cli("archive", "--once", LIFECYCLE_ARCHIVE_URL=bucket_url)
    assert ran.code == 0, ran.err
    count = int(ran.out.split()[0])
    assert ran.out == f"{count} messages archived\n"
    assert count >= 5
    assert [name async for name in Bucket(bucket_url).names("dt=")]
    again = await cli("archive", "--once", LIFECYCLE_ARCHIVE_URL=bucket_url)
    assert int(again.out.split()[0]) < count
    found = await cli("doctor", LIFECYCLE_ARCHIVE_URL=bucket_url, LIFECYCLE_EXECUTOR="none")
    assert "ok     archive   can be listed, and begins with manifest/" in found.out


@pytest.mark.parametrize(
    ("arguments", "url", "said"),
    [
        (("--once",), None, "LIFECYCLE_ARCHIVE_URL is not set"),
        (("--once",), "bucket", "LIFECYCLE_ARCHIVE_URL"),
        ((), "s3://bucket", "run --roles archive"),
    ],
)
async def test_what_cannot_be_done_is_said(
    cli: Cli, arguments: tuple[str, ...], url: str | None, said: str
) -> None:
    """Exit code 2, and the way out."""
    ran = await cli("archive", *arguments, LIFECYCLE_ARCHIVE_URL=url)
    assert ran.code == 2
    assert said in ran.err
