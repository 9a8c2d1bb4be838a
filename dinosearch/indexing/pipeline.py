"""find -> read -> encode -> commit.

Reading goes on in processes of its own, committing in a thread, while the encoder works.
What is committed is decided by the catalog alone, so a run that was killed is finished
by running it again: files whose size and time are known are not read, files whose
content is known are not encoded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dinosearch.encoders import Encoder, EncodingFailed
from dinosearch.errors import InvalidInput
from dinosearch.images import Decoder, Found, Picture, Refusal
from dinosearch.images.reasons import state_of
from dinosearch.indexing.annotations import Annotator
from dinosearch.indexing.committer import Committer
from dinosearch.indexing.measuring import measure
from dinosearch.indexing.report import AddReport, Progress
from dinosearch.indexing.sources import check_sources, find_all, is_gone, is_unmounted
from dinosearch.storage.catalog import Catalog, Item
from dinosearch.storage.derived import refresh_patches, refresh_statistics, refresh_vectors
from dinosearch.storage.writer import Annotation, Batch, Origin, Row, Trouble, Writer


def add_pictures(
    writer: Writer,
    encoder: Encoder,
    sources: Sequence[str],
    *,
    annotator: Annotator | None = None,
    prune: bool = False,
    readd: bool = False,
    workers: int | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> AddReport:
    """Bring the index up to date with what lies under `sources` (files or folders).

    Adds new pictures, updates changed ones, follows moved ones, skips the rest. Items
    whose file has vanished stay, unless `prune`. Paths the user removed stay out until
    they change, unless `readd`. When `stop()` turns true the open batch is finished and
    the report says `stopped`. Raises what `Writer.commit` raises; everything that
    `progress` called committed is safe by then.
    """
    started = time.monotonic()
    run = _Run(writer, encoder, annotator, readd, progress, stop)
    try:
        roots = check_sources(sources)
        progress(Progress("finding"))
        run.go(find_all(roots), workers)
        if not run.report.stopped:
            run.look_for_vanished(roots, prune)
            run.refresh_derived()
        if not run.report.stopped:
            run.settle_unmatched()
    finally:
        run.close()
    run.report.seconds = time.monotonic() - started
    return run.report


class _Stopped(Exception):
    """Ends the building of a derived file; nothing of it has been committed."""


class _Run:
    """One run over the files that were found."""

    def __init__(
        self,
        writer: Writer,
        encoder: Encoder,
        annotator: Annotator | None,
        readd: bool,
        progress: Callable[[Progress], None],
        stop: Callable[[], bool],
    ) -> None:
        self.report = AddReport()
        self._stop = stop
        self._writer = writer
        self._encoder = encoder
        self._annotator = annotator
        self._readd = readd
        self._progress = progress
        # A connection of its own, so that looking up does not wait for a commit.
        self._catalog = Catalog.open(writer.folder.catalog, writable=False)
        self._out = Committer(writer, self._on_commit)
        self._waiting: list[tuple[Picture, str, Item | None]] = []
        self._known: dict[str, tuple[Found, str, Item | None]] = {}
        self._taken_ids: set[int] = set()
        self._total = self._done = self._committed = 0
        self._found: Sequence[tuple[Found, str]] = ()

    def close(self) -> None:
        self._out.close()
        self._catalog.close()

    def go(self, found: Sequence[tuple[Found, str]], workers: int | None) -> None:
        self._found, self._total = found, len(found)
        self._tell()
        with Decoder(self._encoder.view, workers=workers) as decoder:
            for result in decoder.decode_many(self._unread(found)):
                if self._stop():
                    break
                if isinstance(result, Refusal):
                    self._refuse(result, *self._known.pop(result.path))
                else:
                    self._take(result)
                self._out.commit_if_due(self._done)
        self.report.stopped = self._stop()
        if not self.report.stopped:
            self._encode()
        self._out.finish(self._done)

    # -- deciding --------------------------------------------------------------------

    def _unread(self, found: Sequence[tuple[Found, str]]) -> Iterator[str]:
        """Paths that must be read; everything else is decided here."""
        for one, source in found:
            if self._stop():
                return
            item = self._catalog.item_at(one.path)
            same = (one.size, one.mtime_ns)
            if one.problem is not None:
                code, detail = one.problem
                self._trouble(one.path, source, state_of(code), code, detail, *same)
            elif item is not None and (item.bytes, item.mtime_ns) == same:
                self._unchanged(item, source)
            elif self._settled(one, source):
                pass
            else:
                self._known[one.path] = (one, source, item)
                yield one.path

    def _settled(self, one: Found, source: str) -> bool:
        """True for a file that was refused or removed before and has not changed since."""
        failure = self._catalog.failure_at(one.path)
        if (
            failure is not None
            and failure.state == "refused"
            and (failure.bytes, failure.mtime_ns) == (one.size, one.mtime_ns)
        ):
            self.report.refused += 1
            self._done += 1
            return True
        removed = None if self._readd else self._catalog.was_removed(one.path)
        if removed is not None and removed[1:] == (one.size, one.mtime_ns):
            self.report.unchanged += 1
            self.report.left_out += 1
            self._done += 1
            return True
        return False

    def _take(self, picture: Picture) -> None:
        _, source, item = self._known.pop(picture.path)
        if item is not None and item.sha256 == picture.sha256:
            self._out.batch.moved.append((item.id, _origin(picture, source)))
            self._unchanged(item, source)
            return
        if item is None:
            removed = None if self._readd else self._catalog.was_removed(picture.path)
            if removed is not None and removed[0] == picture.sha256:
                self.report.unchanged += 1
                self.report.left_out += 1
                self._done += 1
                return
            old = self._moved_from(picture)
            if old is not None:
                self._out.batch.moved.append((old.id, _origin(picture, source)))
                self.report.updated += 1
                self.report.moved += 1
                self._annotate(picture.path, source, None)
                self._done += 1
                return
        self._waiting.append((picture, source, item))
        if len(self._waiting) >= self._encoder.batch_size:
            self._encode()

    def _moved_from(self, picture: Picture) -> Item | None:
        """The item with this content whose file has gone, if there is one."""
        for item in self._catalog.items_of_content(picture.sha256):
            if item.id in self._taken_ids or not is_gone(item.path):
                continue
            if is_unmounted(self._catalog.source_of(item.id)):
                continue  # a copy elsewhere must not take the id of a picture that will be back
            self._taken_ids.add(item.id)
            return item
        return None

    def _unchanged(self, item: Item, source: str) -> None:
        self.report.unchanged += 1
        if self._catalog.failure_at(item.path) is not None:
            self._out.batch.recovered.append(item.path)
        self._annotate(item.path, source, item)
        self._done += 1
        self._tell()

    def _annotate(self, path: str, source: str, item: Item | None) -> None:
        """Put what the corpus says about a path into the batch, if it is news."""
        if self._annotator is None:
            return
        annotation = self._annotator.annotation(path, source)
        if annotation is None or (item is not None and self._is_known(annotation, item)):
            return
        if item is not None:
            self.report.relabelled += 1
        self._out.batch.annotations.append(annotation)

    def _is_known(self, annotation: Annotation, item: Item) -> bool:
        labels, split, metadata = annotation.labels, annotation.split, annotation.metadata
        return (
            (
                labels is None
                or set(labels) == self._catalog.corpus_labels(item.id)
                or self._catalog.is_settled(item.id)
            )
            and (split is None or (split or None) == item.split)
            and (metadata is None or metadata.items() <= item.metadata.items())
        )

    def _refuse(self, refusal: Refusal, found: Found, source: str, item: Item | None) -> None:
        detail = refusal.detail
        if item is not None:
            detail += " (the index keeps what it held before the file changed)"
        # Size and time from before the reading: a file that was still being written then
        # is read again next time.
        self._trouble(
            *(refusal.path, source, refusal.state, refusal.code, detail),
            *(found.size, found.mtime_ns),
        )

    def _trouble(
        self, path: str, source: str, state: str, code: str, detail: str, size: int, mtime_ns: int
    ) -> None:
        self._out.batch.troubles.append(Trouble(path, source, state, code, detail, size, mtime_ns))
        if state == "refused":
            self.report.refused += 1
        else:
            self.report.failed += 1
        self._done += 1
        self._tell()

    # -- encoding -----------------------------------------------------

    def _encode(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            features = self._encoder.encode_views(np.stack([p.view for p, _, _ in waiting]))
        except EncodingFailed as error:
            if not error.rows:
                raise
            for row in error.rows:
                picture, source, _ = waiting[row]
                self._trouble(
                    *(picture.path, source, "failed", "encoding", str(error)),
                    *(picture.bytes, picture.mtime_ns),
                )
            bad = set(error.rows)
            self._waiting = [one for row, one in enumerate(waiting) if row not in bad]
            self._encode()
            return
        for (picture, source, item), cls, patches, norms in zip(
            waiting, features.cls, features.patches, features.patch_norms, strict=True
        ):
            shown = picture.grid.shown.ravel()
            tokens = patches.astype(np.float16)
            tokens[~shown] = 0  # padding must match nothing
            self._out.add(
                Row(
                    origin=_origin(picture, source),
                    cls=cls,
                    tokens=tokens,
                    width=picture.width,
                    height=picture.height,
                    format=picture.format,
                    fit=picture.grid.fit,
                    date=picture.taken or _date_of(picture.mtime_ns),
                    notes=picture.notes,
                    thumbnail=picture.thumbnail,
                    item=item.id if item else None,
                    norms=np.where(shown, norms, np.float32(0)),
                )
            )
            if item is None:
                self.report.added += 1
            else:
                self.report.updated += 1
            self.report.encoded += 1
            self._annotate(picture.path, source, None)
            self._done += 1
        self._tell()

    def _on_commit(self, done: int) -> None:
        self._committed = done
        self._tell()

    def _tell(self) -> None:
        self._progress(Progress("indexing", self._total, self._done, self._committed))

    # -- afterwards ------------------------------------------------------------------

    def look_for_vanished(self, roots: Sequence[str], prune: bool) -> None:
        """Count items, and drop failure rows, whose file is no longer there."""
        gone: dict[int, None] = {}
        for root in roots:
            here = [(item, path) for item, path in self._catalog.paths_under(root)]
            gone_here = [item for item, path in here if is_gone(path)]
            # An unmounted drive looks like an empty folder; it must not empty the index.
            if prune and here and len(gone_here) == len(here) and is_unmounted(root):
                raise InvalidInput(
                    f"{root} is empty, so nothing is pruned: is its drive mounted? To take its"
                    f" pictures out of the index, remove them: dinosearch remove {root}"
                )
            gone |= dict.fromkeys(gone_here)
        self.report.vanished = len(gone)
        if prune and gone:
            items = self._writer.catalog.items(list(gone))
            self.report.pruned = self._writer.remove(items, keep_out=False)
        seen = {one.path for one, _ in self._found}  # also folders that could not be listed
        failed = [f.path for f in self._catalog.failures() if f.path not in seen]
        failed = [path for path in failed if is_gone(path)]
        self._writer.commit(Batch(recovered=failed))

    def refresh_derived(self) -> None:
        """Bring what is derived up to date; a request to stop ends that at its next step."""

        def tell(step: str) -> None:
            if self._stop():
                raise _Stopped
            self._progress(Progress(step))

        try:
            refresh_vectors(self._writer, progress=lambda step: tell(f"vector index: {step}"))
            refresh_patches(self._writer, progress=lambda step: tell(f"patch index: {step}"))
            refresh_statistics(
                self._writer, measure, progress=lambda step: tell(f"statistics: {step}")
            )
        except _Stopped:
            self.report.stopped = True

    def settle_unmatched(self) -> None:
        """Write what was said about items outside the sources; the rest is unmatched."""
        if self._annotator is None:
            return
        for path in self._annotator.unmatched():
            item = self._catalog.item_at(path)
            if item is None:
                self.report.unmatched.append(path)
            else:
                self._annotate(path, os.path.dirname(path), item)
        self._out.finish(self._done)


def _origin(picture: Picture, source: str) -> Origin:
    return Origin(picture.path, source, picture.sha256, picture.bytes, picture.mtime_ns)


def _date_of(mtime_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(mtime_ns / 1e9))
