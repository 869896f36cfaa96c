"""The archive: whether its bucket can be read, where there is to be one."""

from consumer.app import bucket_of
from consumer.audit.bucket import NoSuchObjectError
from consumer.doctor.finding import Finding
from consumer.message import UnavailableError
from consumer.settings import Settings


async def look(settings: Settings) -> Finding:
    """List the archive's manifests."""
    bucket = bucket_of(settings)
    if bucket is None:
        told = "only the stream holds the audit trail"
        return Finding("archive", "note", told, "set LIFECYCLE_ARCHIVE_URL to keep it longer")
    try:
        async for name in bucket.names("manifest/"):
            return Finding("archive", "ok", f"can be listed, and begins with {name}")
    except (UnavailableError, NoSuchObjectError) as error:
        return Finding("archive", "wrong", str(error), "see LIFECYCLE_ARCHIVE_URL and AWS_REGION")
    return Finding("archive", "ok", "can be listed, and is empty")
