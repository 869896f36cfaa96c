"""S3 over boto3, in threads: put, get, list. It deletes nothing."""

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore import exceptions as aws
from botocore.config import Config

from consumer.message import UnavailableError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_T = TypeVar("_T")
_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=60
)
_MISSING = frozenset({"NoSuchKey", "404"})


class NoSuchObjectError(Exception):
    """There is no object of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """How objects are protected.

    Attributes:
        encryption: `AES256`, or `aws:kms` with `:key` or without; None: the bucket's default.
        lock_days: days for which an object can be neither changed nor removed; 0 for no lock.

    """

    encryption: str | None = None
    lock_days: int = 0

    def settings(self) -> dict[str, Any]:
        """Give the parameters of PutObject (S3 API Reference)."""
        found: dict[str, Any] = {}
        if self.encryption:
            _, is_kms, key = self.encryption.partition("aws:kms")
            found["ServerSideEncryption"] = is_kms or self.encryption
            if key:
                found["SSEKMSKeyId"] = key.removeprefix(":")
        if self.lock_days:
            until = datetime.now(UTC) + timedelta(days=self.lock_days)
            found |= {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        return found


class Bucket:
    """A prefix in a bucket, `s3://bucket/prefix`. Names are below it, without a leading slash."""

    def __init__(self, url: str, protection: Protection | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise ValueError(f"{url!r} is no s3://bucket/prefix")
        self._bucket = parts.netloc
        prefix = parts.path.strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._protection = protection or Protection()
        self._client: S3Client | None = None
        self._creating = asyncio.Lock()

    async def put(self, name: str, body: bytes, content_type: str) -> None:
        """Write an object; S3 checks that it arrived whole.

        Raises:
            UnavailableError: S3 did not take it.

        """
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        await self._call(
            f"write {name}",
            lambda client: client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + name,
                Body=body,
                ContentType=content_type,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=checksum,
                **self._protection.settings(),
            ),
        )

    async def get(self, name: str) -> bytes:
        """Read an object.

        Raises:
            NoSuchObjectError: there is none of that name.
            UnavailableError: S3 did not give it.

        """
        return await self._call(
            f"read {name}",
            lambda client: client.get_object(Bucket=self._bucket, Key=self._prefix + name)[
                "Body"
            ].read(),
        )

    async def names(self, prefix: str, *, after: str = "") -> AsyncIterator[str]:
        """List the names that begin with `prefix`, in their order, those after `after` alone.

        Raises:
            UnavailableError: S3 did not list them.

        """
        last = self._prefix + after if after else ""
        more = True
        while more:
            page = await self._call(
                f"list {prefix}",
                lambda client, last=last: client.list_objects_v2(  # type: ignore[misc]  # the default binds it now
                    Bucket=self._bucket, Prefix=self._prefix + prefix, StartAfter=last
                ),
            )
            for entry in page.get("Contents", ()):
                last = entry["Key"]
                yield last.removeprefix(self._prefix)
            more = page["IsTruncated"]

    async def _call(self, doing: str, call: "Callable[[S3Client], _T]") -> _T:
        try:
            client = await self._connected()
            return await asyncio.to_thread(call, client)
        except aws.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "Unnamed"))
            if code in _MISSING:
                raise NoSuchObjectError(f"could not {doing}: there is no such object") from None
            raise UnavailableError(f"could not {doing} in {self._bucket}: {code}") from error
        except aws.BotoCoreError as error:
            raise UnavailableError(
                f"could not {doing} in {self._bucket}: {type(error).__name__}"
            ) from error

    async def _connected(self) -> "S3Client":
        async with self._creating:
            if self._client is None:
                self._client = await asyncio.to_thread(_create)
            return self._client


def _create() -> "S3Client":
    """Create a client. boto3 by itself reads AWS_DEFAULT_REGION alone, not AWS_REGION."""
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    return session.client("s3", config=_CONFIG)
