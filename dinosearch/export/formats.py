"""How a table becomes a file: CSV, JSON, lines of JSON, Parquet, npz. Block by block."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dinosearch.errors import InvalidInput
from dinosearch.export.guard import guarded
from dinosearch.export.tables import Column, Row, Table


def write_csv(table: Table, path: Path) -> None:
    """UTF-8; bytes of names that are not are written as they are. Lists are joined by `;`."""
    with open(path, "x", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        names: list[str] = []
        for column in table.columns:
            numbers = range(table.dim) if column.kind == "vector" else [None]
            names += [column.name if i is None else f"{column.name}_{i}" for i in numbers]
        writer.writerow(names)
        for rows in table.blocks:
            writer.writerows([_cells(table.columns, row) for row in rows])


def _cells(columns: tuple[Column, ...], row: Row) -> list[Any]:
    cells: list[Any] = []
    for column, value in zip(columns, row, strict=True):
        if column.kind == "vector":
            # Nine digits bring a float32 back to the bit.
            cells += [f"{number:.9g}" for number in value.tolist()]
        elif column.kind == "int":
            cells.append(value)
        elif column.kind == "number":
            cells.append(f"{value:.9g}")
        elif column.kind in ("texts", "paths"):
            cells.append(guarded(";".join(value)))
        elif column.kind == "json":
            cells.append(guarded(json.dumps(value, ensure_ascii=False)))
        else:
            cells.append("" if value is None else guarded(value))
    return cells


def write_jsonl(table: Table, path: Path) -> None:
    """One object a line, in ASCII: broken bytes of names are escaped surrogates."""
    with open(path, "x", encoding="ascii", newline="") as file:
        for rows in table.blocks:
            file.writelines(json.dumps(_object(table.columns, row)) + "\n" for row in rows)


def write_json(table: Table, path: Path) -> None:
    """One list of the objects that `write_jsonl` writes."""
    with open(path, "x", encoding="ascii", newline="") as file:
        between = "[\n"
        for rows in table.blocks:
            for row in rows:
                file.write(between + json.dumps(_object(table.columns, row)))
                between = ",\n"
        file.write("[]\n" if between == "[\n" else "\n]\n")


def _object(columns: tuple[Column, ...], row: Row) -> dict[str, Any]:
    return {
        column.name: value.tolist() if column.kind == "vector" else value
        for column, value in zip(columns, row, strict=True)
    }


def write_npz(table: Table, path: Path) -> None:
    """Arrays `ids` int64 [n], `paths` bytes [n] (by `os.fsencode`), `cls` float32 [n, D].

    Raises `InvalidInput` for a table without vectors.
    """
    if [column.kind for column in table.columns] != ["int", "path", "vector"]:
        raise InvalidInput("npz holds arrays, so only vectors go there: use csv, json or parquet")
    ids: list[int] = []
    paths: list[bytes] = []
    with zipfile.ZipFile(path, "x", allowZip64=True) as file:
        # The vectors are written as they come; their number stands in front of them.
        with file.open("cls.npy", "w", force_zip64=True) as out:
            header = {"descr": "<f4", "fortran_order": False, "shape": (table.rows, table.dim)}
            np.lib.format.write_array_header_1_0(out, header)
            for rows in table.blocks:
                ids += [row[0] for row in rows]
                paths += [os.fsencode(row[1]) for row in rows]
                out.write(np.stack([row[2] for row in rows]).astype("<f4").tobytes())
        for name, array in (
            ("ids", np.array(ids, dtype="<i8")),
            ("paths", np.array(paths, dtype=bytes)),
        ):
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            file.writestr(f"{name}.npy", buffer.getvalue())


def write_parquet(table: Table, path: Path) -> None:
    """Parquet by pyarrow. Beside each path column stands NAME_bytes, as the disk has it.

    In the text, bytes that are not UTF-8 are written as `\\xNN`. Metadata are JSON text.
    Raises `InvalidInput` where pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise InvalidInput(
            f"Parquet needs pyarrow ({error}): pip install 'dinosearch[parquet]', or export to"
            " csv, jsonl or npz"
        ) from error
    kinds = {
        "int": pa.int64(),
        "number": pa.float64(),
        "text": pa.string(),
        "path": pa.string(),
        "texts": pa.list_(pa.string()),
        "paths": pa.list_(pa.string()),
        "json": pa.string(),
        "vector": pa.list_(pa.float32(), table.dim),
    }
    fields = []
    for column in table.columns:
        fields.append((column.name, kinds[column.kind]))
        if column.kind == "path":
            fields.append((f"{column.name}_bytes", pa.binary()))
    schema = pa.schema(fields)
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in table.blocks:
            columns: dict[str, list[Any]] = {name: [] for name, _ in fields}
            for row in rows:
                for column, value in zip(table.columns, row, strict=True):
                    columns[column.name].append(_plain(column.kind, value))
                    if column.kind == "path":
                        columns[f"{column.name}_bytes"].append(os.fsencode(value))
            writer.write_table(pa.table(columns, schema=schema))


def _plain(kind: str, value: Any) -> Any:
    if kind == "path":
        return _readable(value)
    if kind == "paths":
        return [_readable(one) for one in value]
    if kind == "texts":
        return list(value)
    return json.dumps(value) if kind == "json" else value


def _readable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


WRITERS: dict[str, Callable[[Table, Path], None]] = {
    ".csv": write_csv,
    ".json": write_json,
    ".jsonl": write_jsonl,
    ".npz": write_npz,
    ".parquet": write_parquet,
}
