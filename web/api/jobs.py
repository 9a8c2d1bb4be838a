"""Jobs: indexing a folder, looking for changes; and the files that did not become pictures."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable
from typing import Any

from flask import Response, request

from dinosearch import meaning_of

from ..jobs import Job
from ..models import (
    FailureRecord,
    FailuresParameters,
    FailuresReply,
    IndexJobRequest,
    JobRecord,
    JobRequest,
    JobsReply,
    Parameters,
)
from ..originals import folder_below, roots_of
from ..problems import Problem
from ..services import services
from ..shelf import Served
from .routing import route
from .views import text, utc


@route("POST", "/jobs", body=JobRequest, reply=JobRecord, status=202)
def create_job(parameters: Parameters, body: Any) -> Any:
    """Begin something that takes a while.

    `index` adds and updates the pictures of folders below the configured roots; `changes`
    looks for files that came, changed or went since.
    """
    served = services().shelf.get(parameters.index)
    if isinstance(body, IndexJobRequest):
        work = _indexing(served, body, _folders(served, body))
    else:
        work = _looking_for_changes(served)
    job = services().jobs.add(body.kind, served.name, body.model_dump(exclude={"kind"}), work)
    return _record(job), {"Location": f"/api/v1/jobs/{job.id}"}


def _folders(served: Served, body: IndexJobRequest) -> list[str]:
    roots = {root.name: root for root in roots_of(served.index, services().settings.roots)}
    folders = []
    for number, wanted in enumerate(body.roots):
        root = roots.get(wanted.root)
        if root is None:
            raise Problem(
                "invalid-request",
                f"there is no root called {wanted.root!r}",
                errors=[(f"/roots/{number}/root", "not one of those in /info")],
            )
        folder = folder_below(root, wanted.folder)
        if folder is None:
            raise Problem(
                "invalid-request",
                f"{root.name} has no folder {wanted.folder!r}",
                errors=[(f"/roots/{number}/folder", "not a folder below the root")],
            )
        folders.append(folder)
    return folders


def _indexing(
    served: Served, body: IndexJobRequest, folders: list[str]
) -> Callable[[Job], dict[str, Any]]:
    def work(job: Job) -> dict[str, Any]:
        report = served.index.add(
            folders,
            labels=body.labels,
            prune=body.prune,
            readd=body.readd,
            progress=job.take,
            stop=lambda: job.cancelling,
        )
        found = report.to_dict()
        job.done, job.committed = report.seen, report.seen
        job.message = (
            f"{report.added} added, {report.updated} updated, {report.unchanged} unchanged,"
            f" {report.refused} refused, {report.failed} failed"
        )
        if report.refused or report.failed:
            count = report.refused + report.failed
            job.errors.append(
                "1 file was not taken" if count == 1 else f"{count} files were not taken"
            )
        return {name: value for name, value in found.items() if name != "unmatched"}

    return work


def _looking_for_changes(served: Served) -> Callable[[Job], dict[str, Any]]:
    def work(job: Job) -> dict[str, Any]:
        job.step = "comparing"
        found = served.index.changes(stop=lambda: job.cancelling)
        job.message = f"{found.added} new, {found.changed} changed, {found.missing} missing"
        job.errors += [f"{text(os.path.basename(one))} is not there" for one in found.unreachable]
        return found.to_dict() | {"unreachable": len(found.unreachable)}

    return work


@route("GET", "/jobs", reply=JobsReply)
def list_jobs(parameters: Parameters) -> Any:
    """The jobs of an index, newest first. Answers 304 to a client that knows.

    Answers 304 to a client whose `If-None-Match` still holds.
    """
    served = services().shelf.get(parameters.index)
    jobs = services().jobs.all(served.name)
    return _unless_known(JobsReply(jobs=[_record(job) for job in jobs]))


@route("GET", "/jobs/<int:job_id>", reply=JobRecord, problems=("job-not-found",))
def get_job(parameters: Parameters, job_id: int) -> Any:
    """A job.

    Answers 304 to a client whose `If-None-Match` still holds.
    """
    return _unless_known(_record(services().jobs.get(job_id)))


@route("DELETE", "/jobs/<int:job_id>", reply=None, status=204, problems=("job-not-found",))
def delete_job(parameters: Parameters, job_id: int) -> None:
    """Cancel a job, or remove one that has ended.

    A running one finishes the pictures in hand first; what is committed stays.
    """
    services().jobs.drop(job_id)


@route(
    "POST",
    "/jobs/<int:job_id>/retry",
    reply=JobRecord,
    status=202,
    problems=("job-not-found", "conflict"),
)
def retry_job(parameters: Parameters, job_id: int) -> Any:
    """The same job once more."""
    job = services().jobs.retry(job_id)
    return _record(job), {"Location": f"/api/v1/jobs/{job.id}"}


def _record(job: Job) -> JobRecord:
    return JobRecord(
        id=job.id,
        kind=job.kind,  # type: ignore[arg-type]
        index=job.index,
        state=job.state,
        step=job.step,
        done=job.done,
        total=job.total,
        committed=job.committed,
        rate=job.rate and round(job.rate, 2),
        eta_s=job.eta_s and round(job.eta_s, 1),
        message=text(job.message),
        errors=[text(one) for one in job.errors],
        log=[text(line) for line in list(job.log)],
        created_at=utc(job.created_at),
        started_at=utc(job.started_at) if job.started_at else None,
        ended_at=utc(job.ended_at) if job.ended_at else None,
        params=job.params,
        result=job.result,
        cancelling=job.cancelling and not job.ended,
    )


def _unless_known(reply: JobsReply | JobRecord) -> Response:
    content = reply.model_dump_json()
    response = Response(content, mimetype="application/json")
    response.set_etag(hashlib.sha256(content.encode()).hexdigest()[:24])
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Retry-After"] = "1"
    response.make_conditional(request)
    return response


@route("GET", "/failures", parameters=FailuresParameters, reply=FailuresReply, also="text/csv")
def list_failures(parameters: FailuresParameters) -> Any:
    """Files that did not become pictures of the index, and why.

    With `format=csv` all of them, to be saved.
    """
    index = services().shelf.get(parameters.index).index
    start = _start(parameters.cursor)
    records = [
        FailureRecord(
            path=text(failure.relative_path),
            state=failure.state,  # type: ignore[arg-type]
            code=failure.code,
            reason=meaning_of(failure.code),
            detail=text(failure.detail),
            attempts=failure.attempts,
            failed_at=failure.failed_at,
        )
        for failure in index.failures()
    ]
    if parameters.format == "csv":
        return _as_csv(records)
    shown = records[start : start + parameters.limit]
    end = start + len(shown)
    return FailuresReply(
        failures=shown, cursor=f"o{end}" if end < len(records) else None, total=len(records)
    )


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    digits = cursor.removeprefix("o")
    if cursor[:1] == "o" and digits.isascii() and digits.isdigit() and len(digits) < 12:
        return int(digits)
    raise Problem("invalid-request", "no answer gave this cursor", errors=[("/cursor", "unknown")])


def _as_csv(records: list[FailureRecord]) -> Response:
    out = io.StringIO(newline="")
    names = list(FailureRecord.model_fields)
    writer = csv.writer(out)
    writer.writerow(names)
    for record in records:
        writer.writerow(_harmless(str(getattr(record, name))) for name in names)
    response = Response(out.getvalue(), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename="failures.csv")
    return response


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
