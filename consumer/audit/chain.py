"""Walking the archive's chain: each object in order, and every link that does not hold."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from consumer.audit.bucket import Bucket, NoSuchObjectError
from consumer.audit.manifest import MANIFESTS, Manifest, digest, read_manifest, unpack
from consumer.record import Record
from consumer.store.archive import Mark

DATA = "dt="


@dataclass(frozen=True, slots=True)
class Link:
    """One manifest and what it holds, as far as it can be read; and what is wrong with it."""

    manifest: Manifest | None
    records: list[Record]
    faults: tuple[str, ...]


async def walk(bucket: Bucket, marks: Mapping[str, Mark]) -> AsyncGenerator[Link, None]:
    """Follow the chain; `marks` are the cuts that the database knows, by their objects' names.

    Raises:
        UnavailableError: S3 is away.

    """
    missing, known = dict(marks), set[str]()
    before: str | None = None
    async for name in bucket.names(MANIFESTS):
        body = await bucket.get(name)
        try:
            manifest = read_manifest(body)
        except ValueError as error:
            yield Link(None, [], (f"{name} is changed: {error}",))
            before = digest(body)
            continue
        faults = []
        if manifest.name != name:
            faults.append(f"{name} is the manifest of {manifest.object}")
        if manifest.previous != before:
            faults.append(
                f"{name} does not follow the manifest before it: one was changed or removed"
            )
        mark = missing.pop(manifest.object, None)
        if mark is None:
            faults.append(f"{name} is of no cut that the database knows")
        elif mark.manifest is not None and mark.manifest != digest(body):
            faults.append(f"{name} is not the manifest that was written")
        known.add(manifest.object)
        records, fault = await _records(bucket, manifest)
        yield Link(manifest, records, (*faults, *fault))
        before = digest(body)
    gone = [mark.object for mark in missing.values() if mark.manifest is not None]
    unfinished = {mark.object for mark in missing.values() if mark.manifest is None}
    yield Link(None, [], tuple(f"the manifest of {name} is gone" for name in sorted(gone)))
    strange = [
        name async for name in bucket.names(DATA) if name not in known and name not in unfinished
    ]
    yield Link(None, [], tuple(f"{name} stands in no manifest" for name in strange))


async def _records(bucket: Bucket, manifest: Manifest) -> tuple[list[Record], tuple[str, ...]]:
    """Read an object's records as far as they can be, and say what is wrong with it."""
    try:
        body = await bucket.get(manifest.object)
    except NoSuchObjectError:
        return [], (f"{manifest.object} is gone",)
    faults: tuple[str, ...] = ()
    if digest(body) != manifest.sha256:
        faults = (f"{manifest.object} is changed: its SHA-256 is not the manifest's",)
    try:
        return unpack(body), faults
    except ValueError as error:
        return [], (*faults, f"{manifest.object} cannot be read: {error}")
