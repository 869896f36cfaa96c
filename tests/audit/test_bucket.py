"""The bucket over real HTTP: what is put is what comes back, protected as it was asked."""

from typing import TYPE_CHECKING

import boto3
import pytest

from consumer.audit.bucket import Bucket, NoSuchObjectError, Protection
from consumer.devstack.stack import Stack
from consumer.message import UnavailableError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@pytest.fixture
def s3(stack: Stack, bucket_url: str) -> "S3Client":
    """Make a client of the test's own."""
    assert bucket_url
    return boto3.Session("demo", "demo", region_name="us-east-1").client(
        "s3", endpoint_url=stack.aws_url
    )


def bucket_name(url: str) -> str:
    """Take a bucket's URL apart."""
    return url.removeprefix("s3://").partition("/")[0]


async def test_what_is_put_comes_back_and_is_listed_in_order(bucket: Bucket) -> None:
    """Beyond one page of a thousand names."""
    for name in ("b/2", "b/1", "a/1"):
        await bucket.put(name, name.encode(), "text/plain")
    assert await bucket.get("b/1") == b"b/1"
    assert [name async for name in bucket.names("")] == ["a/1", "b/1", "b/2"]
    assert [name async for name in bucket.names("b/")] == ["b/1", "b/2"]
    assert [name async for name in bucket.names("b/", after="b/1")] == ["b/2"]


async def test_a_long_list_is_listed_whole(bucket: Bucket, s3: "S3Client", bucket_url: str) -> None:
    """S3 gives a thousand a page."""
    for number in range(1100):
        s3.put_object(Bucket=bucket_name(bucket_url), Key=f"trail/n/{number:05}", Body=b"")
    assert [name async for name in bucket.names("n/")] == [f"n/{n:05}" for n in range(1100)]


async def test_names_stand_below_the_prefix(
    bucket: Bucket, s3: "S3Client", bucket_url: str
) -> None:
    """A bucket may hold other things."""
    s3.put_object(Bucket=bucket_name(bucket_url), Key="elsewhere", Body=b"")
    await bucket.put("here", b"1", "text/plain")
    assert [name async for name in bucket.names("")] == ["here"]
    head = s3.head_object(Bucket=bucket_name(bucket_url), Key="trail/here")
    assert head["ContentType"] == "text/plain"


async def test_objects_are_encrypted_and_locked_as_asked(s3: "S3Client", bucket_url: str) -> None:
    """Server-side, and in compliance mode: not even root removes it earlier."""
    name = f"{bucket_name(bucket_url)}-locked"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    kept = Bucket(f"s3://{name}", Protection(encryption="aws:kms:alias/trail", lock_days=30))
    await kept.put("one", b"1", "text/plain")
    head = s3.head_object(Bucket=name, Key="one")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/trail")
    assert head["ObjectLockMode"] == "COMPLIANCE"
    assert (head["ObjectLockRetainUntilDate"] - head["LastModified"]).days in {29, 30}


@pytest.mark.parametrize(
    ("encryption", "settings"),
    [
        (None, {}),
        ("AES256", {"ServerSideEncryption": "AES256"}),
        ("aws:kms", {"ServerSideEncryption": "aws:kms"}),
        ("aws:kms:k", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}),
    ],
)
def test_encryption_is_what_s3_calls_it(encryption: str | None, settings: dict[str, str]) -> None:
    """Nothing is said where the bucket's default is to hold."""
    assert Protection(encryption=encryption).settings() == settings


async def test_what_is_not_there_is_told_apart_from_an_s3_that_is_away(
    bucket: Bucket, bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is damage, the other is delay."""
    with pytest.raises(NoSuchObjectError, match="could not read nothing"):
        await bucket.get("nothing")
    with pytest.raises(UnavailableError, match="NoSuchBucket"):
        await Bucket("s3://no-such-bucket-anywhere").get("nothing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="could not write one"):
        await Bucket(bucket_url).put("one", b"1", "text/plain")


@pytest.mark.parametrize("url", ["http://bucket", "bucket", "s3://", "s3:///prefix"])
def test_what_is_no_bucket_is_refused(url: str) -> None:
    """At the start, not at the first object."""
    with pytest.raises(ValueError, match="is no s3://bucket/prefix"):
        Bucket(url)
