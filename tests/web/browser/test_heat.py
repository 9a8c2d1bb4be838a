"""Heat maps, pixel by pixel: screenshots with and without them, against the cosines that the
colours of the cells have by formula. A box or a sum would not see a map that is squeezed,
shifted or turned; every cell of every picture does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

import dinosearch
from tests.web.browser import scenes
from tests.web.browser.acting import (
    card,
    choose,
    id_of,
    mark,
    mark_object,
    point_on,
    scale_of,
    settled,
)
from tests.web.browser.looking import (
    box_of,
    cells_of,
    check_heat,
    heated,
    hot_cells,
    loaded,
    ramp_of,
    shot,
)
from tests.web.browser.scenes import OBJECT, QUERY, TALL, WIDE, Scene
from tests.web.browser.serving import Server

COLOURS = OBJECT.reshape(-1, 3)
AWAY = (2, 2)


@pytest.fixture
def sharp(visit, asked_url) -> Page:
    """The answer, with nine pixels for each of CSS, for cells are small on a card."""
    return settled(visit(asked_url, dense=3, same=True))


@pytest.fixture
def asked(visit, asked_url) -> Page:
    return settled(visit(asked_url, same=True))


def bare(one: Locator) -> Locator:
    """The frame of a card, without the box that is drawn over it."""
    frame = loaded(one).locator(".frame")
    frame.evaluate("frame => frame.querySelector('.box')?.style.setProperty('display', 'none')")
    return frame


def before_and_after(page: Page, one: Locator, rows: int, cols: int):
    """The cells of a card without heat, and with it kept on by `H`, the mouse away."""
    frame = bare(one)
    page.mouse.move(*AWAY)
    expect(one).not_to_have_class(re.compile(r"\bhot\b"))
    before = cells_of(frame, rows, cols)
    page.keyboard.press("h")
    expect(one).to_have_class(re.compile(r"\bhot\b"))
    after = cells_of(frame, rows, cols)
    page.keyboard.press("h")
    return before, after


def test_heat_lies_on_the_object_and_nowhere_else_in_every_shape_of_picture(
    visit, asked_url, index
):
    """A square, wide, tall and EXIF-rotated picture, all with heat kept on by `H`."""
    sharp = settled(visit(f"{asked_url}&f=label:planted", dense=3, same=True))
    answer = mark_object(sharp)
    sharp.mouse.move(*AWAY)
    before = {scene: cells_on_card(sharp, index, scene) for scene in scenes.SCENES}
    sharp.keyboard.press("h")
    expect(sharp.locator(".card.hot")).to_have_count(len(scenes.SCENES))
    for scene in scenes.SCENES:
        after = cells_on_card(sharp, index, scene)
        there = {(scene.row + r, scene.col + c) for r in range(TALL) for c in range(WIDE)}
        # White and yellow are near the hot end of the ramp themselves.
        dark = {cell for cell in there if before[scene][cell].min() < 100}
        assert dark <= hot_cells(before[scene], after) <= there, scene.name
        values = scenes.heat_of(scene, COLOURS)
        check_heat(sharp, before[scene], after, values, scale_of(answer))


def cells_on_card(page: Page, index: dinosearch.ImageIndex, scene: Scene) -> np.ndarray:
    frame = bare(card(page, id_of(index, scene.name)))
    return cells_of(frame, scene.rows, scene.cols)


def test_noise_has_the_heat_that_each_of_its_cells_has_by_formula(sharp, index):
    answer = mark(sharp, QUERY, QUERY.row, QUERY.col, 1, 2)
    # Beyond the first twelve it is fetched, and the scale grows by what it brings.
    noisy = next(hit for hit in answer["hits"][:12] if hit["path"].startswith("noise/"))
    cells = scenes.noise(int(noisy["path"][6:8]))
    before, after = before_and_after(sharp, card(sharp, noisy["id"]), scenes.GRID, scenes.GRID)
    values = scenes.cosines(OBJECT[0, :2], cells).max(axis=0)
    assert values.max() - values.min() > 0.5
    check_heat(sharp, before, after, values, scale_of(answer))


@pytest.mark.parametrize("scene", scenes.PADDED, ids=lambda scene: scene.name)
def test_padding_takes_no_part_of_the_heat(visit, padded, query_file, scene):
    server, index = padded
    sharp = visit(f"{server.url}/", dense=3, same=True)
    choose(sharp, query_file)
    answer = mark_object(sharp)
    one = card(sharp, id_of(index, scene.name))
    before, after = before_and_after(sharp, one, scene.rows, scene.cols)
    assert len(hot_cells(before, after)) >= 8
    check_heat(sharp, before, after, scenes.heat_of(scene, COLOURS), scale_of(answer))


@pytest.fixture(scope="module")
def padded(tmp_path_factory, chromium) -> Iterator[tuple[Server, dinosearch.ImageIndex]]:
    """A server over an index that shows the model all of a picture, with padding."""
    folder: Path = tmp_path_factory.mktemp("padded")
    for scene in scenes.PADDED:
        scenes.save_scene(folder / "pictures", scene)
    scenes.save(folder / "pictures/other.png", scenes.noise(7))
    with dinosearch.create(
        folder / "index", encoder="colour", size=scenes.SIZE, fit="pad"
    ) as index:
        index.add(folder / "pictures")
        server = Server(folder / "index", uploads=folder / "uploads")
        yield server, index
        server.stop()


@pytest.mark.parametrize(
    "asked", [QUERY, scenes.WIDE_QUERY, scenes.QUERY_ROTATED], ids=lambda one: one.name
)
def test_marked_patches_of_the_query_light_up_by_how_well_they_are_found(
    visit, server, index, tmp_path, asked
):
    upload = server.upload(scenes.save_scene(tmp_path, asked))
    sharp = settled(visit(f"{server.url}/?q=up:{upload}", dense=3, same=True))
    # Two rows of the object and one of the ground above it.
    answer = mark(sharp, asked, asked.row - 1, asked.col, TALL, WIDE)
    noisy = next(hit for hit in answer["hits"][:12] if not hit["path"].startswith("planted/"))
    frame = sharp.locator(".query-picture .frame")
    rows, cols = asked.rows, asked.cols
    sharp.mouse.move(*AWAY)
    before = cells_of(frame, rows, cols)
    hit = card(sharp, noisy["id"])
    hit.scroll_into_view_if_needed()
    hit.hover()
    expect(sharp.locator(".query-picture .frame")).to_have_class(re.compile("hot"))
    after = cells_of(frame, rows, cols)
    marked = np.zeros((rows, cols), dtype=bool)
    marked[asked.row - 1 : asked.row - 1 + TALL, asked.col : asked.col + WIDE] = True
    found = scenes.cosines(asked.cells[marked], cells_behind(noisy, index))
    values = np.full((rows, cols), np.nan)
    values[marked] = found.reshape(found.shape[0], -1).max(axis=1)
    check_heat(sharp, before, after, values, scale_of(answer), within=20)


def cells_behind(hit, index) -> np.ndarray:
    """The cells of a picture without shape of its own: read back from its file."""
    pixels, _ = index.pixels(index.item(hit["id"]).path)
    middle = scenes.PATCH // 2
    return np.asarray(pixels)[middle :: scenes.PATCH, middle :: scenes.PATCH]


def test_a_card_beyond_the_first_twelve_fetches_its_heat_when_pointed_at(sharp, index):
    answer = mark_object(sharp)
    late = answer["hits"][30]
    assert late["heat"] is None
    one = card(sharp, late["id"])
    cells = cells_behind(late, index)
    before = cells_of(bare(one), *cells.shape[:2])
    with sharp.expect_response("**/api/v1/explain*") as explained:
        one.locator(".path").hover()
    asked = explained.value.request.post_data_json
    assert asked["image_ids"] == [late["id"]]
    expect(one).to_have_class(re.compile(r"\bhot\b"))
    after = cells_of(one.locator(".frame"), *cells.shape[:2])
    low, high = scale_of(answer)
    item = explained.value.json()["items"][0]
    scale = min(low, item["range"][0]), max(high, item["range"][1])
    check_heat(sharp, before, after, scenes.cosines(COLOURS, cells).max(axis=0), scale)
    # The second time it is known.
    asked_before = len([1 for url in requests_of(sharp) if "/explain" in url])
    sharp.mouse.move(*AWAY)
    expect(one).not_to_have_class(re.compile(r"\bhot\b"))
    one.locator(".path").hover()
    expect(one).to_have_class(re.compile(r"\bhot\b"))
    assert len([1 for url in requests_of(sharp) if "/explain" in url]) == asked_before


def requests_of(page: Page) -> list[str]:
    return list(
        page.evaluate("() => performance.getEntriesByType('resource').map((one) => one.name)")
    )


def test_h_keeps_heat_on_every_card_in_sight_and_says_so_in_the_address(asked):
    answer = mark_object(asked)
    asked.mouse.move(*AWAY)
    asked.keyboard.press("h")
    expect(asked).to_have_url(re.compile("layer=heat"))
    expect(asked.locator("#heat-all")).to_have_attribute("aria-pressed", "true")
    for hit in answer["hits"][:12]:
        expect(card(asked, hit["id"])).to_have_class(re.compile(r"\bhot\b"))
    # Those further down get theirs when they come into sight.
    last = card(asked, answer["hits"][-1]["id"])
    expect(last).not_to_have_class(re.compile(r"\bhot\b"))
    last.scroll_into_view_if_needed()
    expect(last).to_have_class(re.compile(r"\bhot\b"))
    asked.keyboard.press("H")
    expect(asked).not_to_have_url(re.compile("layer=heat"))
    expect(asked.locator(".card.hot")).to_have_count(0)


def test_legend_tells_the_ends_of_the_scale_and_the_pointer_its_value(asked, index):
    answer = mark(asked, QUERY, QUERY.row, QUERY.col, 1, 2)
    low, high = scale_of(answer)
    assert (round(low, 2), round(high, 2)) == (0.0, 1.0)
    scene = scenes.SQUARE
    one = card(asked, id_of(index, scene.name))
    frame = one.locator(".frame")
    shape = (scene.rows, scene.cols)
    asked.mouse.move(*point_on(frame, scene.row, scene.col, *shape))
    expect(asked.locator(".found .legend")).to_contain_text(f"{abs(low):.2f}")
    expect(asked.locator(".found .legend")).to_contain_text(f"{high:.2f}")
    # Red and green were asked; then blue, orange and rose, by formula.
    for row, col, cosine in [(0, 0, 1), (0, 1, 1), (0, 2, 0), (1, 3, 0.709), (2, 2, 0.705)]:
        asked.mouse.move(*point_on(frame, scene.row + row, scene.col + col, *shape))
        said = asked.locator(".found .reading")
        expect(said).to_have_text(re.compile(r"cosine \d\.\d{3}"))
        assert float(said.inner_text().split()[1]) == pytest.approx(cosine, abs=0.006)


def test_cells_outside_what_the_model_saw_are_said_to_be_so(asked, index):
    mark_object(asked)
    frame = card(asked, id_of(index, scenes.LANDSCAPE.name)).locator(".frame")
    asked.mouse.move(*point_on(frame, 3, 1, 20, 30))
    expect(asked.locator(".found .reading")).to_have_text("not seen")


def test_ramp_of_the_legend_is_the_ramp_of_the_map_on_grey(sharp):
    mark_object(sharp)
    sharp.locator(".card .path").first.hover()
    ramp = shot(sharp, box_of(sharp.locator(".found .ramp")))
    inside = ramp[ramp.shape[0] // 2, 3:-3]
    place = np.linspace(0.02, 0.98, 9)
    seen = inside[(place * (len(inside) - 1)).astype(int)]
    ground = np.full((1, 9, 3), 138.0)
    expected = heated(ramp_of(sharp), ground, place[None], (0, 1))[0]
    assert np.abs(seen - expected).max() < 26


def test_ramp_is_inferno(page):
    theirs = matplotlib.colormaps["inferno"](np.linspace(0, 1, 256))[:, :3] * 255
    assert np.abs(ramp_of(page) - theirs).max() < 20


def test_heat_stays_right_when_the_window_changes_its_size(sharp, index):
    answer = mark_object(sharp)
    scene = scenes.PORTRAIT
    one = card(sharp, id_of(index, scene.name))
    before_and_after(sharp, one, scene.rows, scene.cols)
    sharp.keyboard.press("h")
    sharp.set_viewport_size({"width": 800, "height": 1000})
    settled(sharp)
    frame = bare(one)
    after = cells_of(frame, scene.rows, scene.cols)
    sharp.keyboard.press("h")
    expect(one).not_to_have_class(re.compile(r"\bhot\b"))
    before = cells_of(frame, scene.rows, scene.cols)
    check_heat(sharp, before, after, scenes.heat_of(scene, COLOURS), scale_of(answer))


def test_heat_of_a_whole_picture_is_fetched_when_pointed_at(sharp, index, tmp_path):
    red = np.full((20, 20, 3), (255, 0, 0), dtype=np.uint8)
    answer = choose(sharp, scenes.save(tmp_path / "red.png", red))
    assert all(hit["heat"] is None for hit in answer["hits"])
    scene: Scene = scenes.LANDSCAPE
    one = card(sharp, id_of(index, scene.name))
    before = cells_of(bare(one), scene.rows, scene.cols)
    with sharp.expect_response("**/api/v1/explain*") as explained:
        one.locator(".path").hover()
    expect(one).to_have_class(re.compile(r"\bhot\b"))
    after = cells_of(one.locator(".frame"), scene.rows, scene.cols)
    values = scenes.heat_of(scene, np.array([[255, 0, 0]]))
    low, high = explained.value.json()["items"][0]["range"]
    check_heat(sharp, before, after, values, (low, high))
