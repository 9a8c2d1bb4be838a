"""Indexes that cannot be used as they are: exit 4, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_input.complaints import complains
from tests.crash.commands import dinosearch
from tests.crash.corpus import draw_many
from tests.crash.scenarios import index_arguments


def test_another_format_version(copy):
    manifest = copy / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"format_version": 2}))
    complains(
        *(4, str(copy), "has index format 2", "reads format 1", "use the dinosearch that made it"),
        command=("info", "--in", copy),
    )
    complains(4, "format 2", command=("search", "--id", "1", "--in", copy))


def test_a_manifest_that_is_none(copy):
    (copy / "manifest.json").write_text("{")
    complains(4, "manifest.json is damaged", "copy", command=("info", "--in", copy))


def test_another_encoder(copy, pictures):
    complains(
        *(4, str(copy), "colour 56px crop", "colour 112px crop", "picture size: 56 here, 112"),
        "index the pictures into a new folder",
        command=("index", pictures, "--to", copy, "--encoder", "colour", "--size", "112"),
    )
    complains(
        *(4, "colour 56px crop", "colour 56px pad"),
        command=("index", pictures, "--to", copy, "--encoder", "colour", "--fit", "pad"),
    )
    assert dinosearch("verify", "--full", "--in", copy).code == 0


def test_a_damaged_segment(copy):
    segment = next((copy / "segments").glob("*.h5"))
    data = bytearray(segment.read_bytes())
    place = _first_cls_byte(segment)
    data[place] ^= 0x40
    segment.write_bytes(data)
    complains(
        *(4, str(segment), "is damaged", "item 1 has changed", "dinosearch verify --full --in"),
        command=("search", "--id", "1", "--in", copy),
    )
    done = dinosearch("verify", "--full", "--in", copy, "--json")
    assert done.code == 1
    assert any("has changed since it was sealed" in one for one in done.json["problems"])
    segment.write_bytes(data[:-1])
    complains(4, "bytes instead of", command=("search", "--id", "1", "--in", copy))
    segment.unlink()
    complains(4, str(segment), "cannot be opened", command=("search", "--id", "1", "--in", copy))
    complains(
        *(4, str(segment), "missing", "nothing is written to a damaged index"),
        command=("index", copy.parents[1] / "pictures", "--to", copy),
    )


def _first_cls_byte(segment: Path) -> int:
    import h5py

    with h5py.File(segment, "r") as file:
        return int(file["cls"].id.get_offset()) + 1


def test_a_damaged_catalog(copy):
    catalog = copy / "catalog.sqlite"
    catalog.write_bytes(b"this is no database" * 500)
    complains(4, str(catalog), command=("info", "--in", copy))
    catalog.unlink()
    complains(4, str(catalog), "is missing", command=("search", "--id", "1", "--in", copy))


def test_damaged_derived_files_cost_nothing_but_themselves(copy, tmp_path):
    (copy / "derived" / "thumbs.sqlite").write_bytes(b"no database" * 1000)
    sheet = tmp_path / "sheet.png"
    done = dinosearch("search", "--id", "1", "--in", copy, "--save", sheet, "--json")
    assert done.code == 0, done.err
    assert sheet.stat().st_size > 1000
    assert dinosearch("verify", "--in", copy).code == 1


def freeze(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def thaw(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def frozen(copy: Path) -> Iterator[Path]:
    freeze(copy)
    yield copy
    thaw(copy)


def test_a_read_only_folder(frozen, pictures, mortal):
    before = {path.name for path in frozen.rglob("*")}
    for command in (
        ("index", pictures, "--to", frozen),
        ("remove", "1", "--in", frozen),
        ("compact", "--in", frozen),
    ):
        complains(4, str(frozen), "read-only", "searching works there", command=command, **mortal)
    found = dinosearch("search", "--id", "3", "--in", frozen, "-k", "2", "--json", **mortal)
    assert found.code == 0, found.err
    assert found.json["hits"][0]["id"] == 3
    query = pictures / "0003.png"
    found = dinosearch("search", query, "--in", frozen, "-k", "1", "--json", **mortal)
    assert found.code == 0, found.err
    assert found.json["hits"][0]["path"] == str(query)
    assert dinosearch("info", "--in", frozen, "--json", **mortal).json["items"] == 10
    assert dinosearch("failures", "--in", frozen, **mortal).code == 0
    assert dinosearch("verify", "--full", "--in", frozen, **mortal).code == 0
    assert {path.name for path in frozen.rglob("*")} == before


def test_a_read_only_place_for_a_new_index(place, pictures, mortal):
    folder = place / "locked"
    folder.mkdir(mode=0o555)
    command = ("index", pictures, "--to", folder / "new", "--encoder", "colour", "--size", "56")
    complains(4, str(folder / "new"), "read-only", command=command, **mortal)


def test_an_index_one_may_not_even_read(copy, mortal):
    for name in ("manifest.json", "catalog.sqlite"):
        (copy / name).chmod(0)
        complains(4, name, command=("info", "--in", copy), **mortal)
        (copy / name).chmod(0o644)
    segment = next((copy / "segments").glob("*.h5"))
    segment.chmod(0)
    complains(4, segment.name, command=("search", "--id", "1", "--in", copy), **mortal)


def test_a_picture_one_may_not_read(tmp_path, mortal):
    folder, index = tmp_path / "pictures", tmp_path / "index"
    paths = draw_many(folder, 4)
    paths[2].chmod(0)
    (folder / "closed").mkdir()
    (folder / "closed").chmod(0)
    done = dinosearch(*index_arguments(folder, index), **mortal)
    assert done.code == 3, done.err
    assert (done.json["seen"], done.json["added"], done.json["failed"]) == (5, 3, 2)
    failures = dinosearch("failures", "--in", index, "--json", **mortal).json["failures"]
    assert {(f["path"], f["state"], f["code"]) for f in failures} == {
        (str(paths[2]), "failed", "unreadable"),
        (str(folder / "closed"), "failed", "unreadable"),
    }
    paths[2].chmod(0o644)
    (folder / "closed").chmod(0o755)
    done = dinosearch(*index_arguments(folder, index), **mortal)
    assert (done.code, done.json["added"], done.json["unchanged"]) == (0, 1, 3)
    assert dinosearch("failures", "--in", index, "--json", **mortal).json["failures"] == []
