"""dinosearch pca"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from dinosearch.cli.output import document, json_option, line, note
from dinosearch.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dinosearch.pca import PcaMap


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(), metavar="IMAGE...")
@click.option("--in", "folder", type=click.Path(), metavar="DIR", help="Use its encoder.")
@click.option("--encoder", metavar="E", help="Without an index. [default: auto]")
@click.option(
    "--basis",
    type=click.Choice(["shared", "corpus"]),
    default="shared",
    show_default=True,
    help="Fitted to these pictures, or stored with the index: then colours never change.",
)
@click.option("--save", type=click.Path(), metavar="map.png", help="Pictures beside their maps.")
@click.option(
    "--scatter",
    type=click.Path(),
    metavar="FILE",
    help="Patches in space: png, pdf, svg, or html to turn and zoom.",
)
@click.option("--smooth", is_flag=True, help="Blend the patches of the maps into each other.")
@json_option
def pca(
    images: tuple[str, ...],
    folder: str | None,
    encoder: str | None,
    basis: str,
    save: str | None,
    scatter: str | None,
    smooth: bool,
    as_json: bool,
) -> None:
    """Show what the model sees in pictures: principal components of their patches as colours.

    All pictures share one basis, so that equal colours mean equal things; with the basis of
    the corpus also in every later call.
    """
    from PIL import Image

    from dinosearch.pca.drawing import draw_maps, save_scatter
    from dinosearch.pca.scatter_page import save_page

    if folder is not None and encoder is not None:
        raise InvalidInput("give --in or --encoder, not both: an index has its own encoder")
    if basis == "corpus" and folder is None:
        raise InvalidInput("the basis corpus is stored with an index: name it, with --in DIR")
    if not (save or scatter or as_json):
        raise InvalidInput("say where to draw it: --save map.png, or --scatter scatter.png")
    maps, pixels = _maps(images, folder, encoder, basis)
    names = [os.path.basename(one) for one in images]
    try:
        if save:
            pictures = [Image.fromarray(one) for one in pixels]
            draw_maps(pictures, maps, names, smooth=smooth).save(save)
        if scatter and scatter.lower().endswith((".html", ".htm")):
            save_page(maps, names, scatter)
        elif scatter:
            save_scatter(maps, scatter)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot write the drawing: {error}") from error
    ratio = [round(float(share), 6) for share in maps[0].explained_variance_ratio]
    if as_json:
        document(
            {
                "explained_variance_ratio": ratio,
                "maps": [
                    {
                        "path": os.path.abspath(path),
                        "grid": [one.grid.rows, one.grid.cols],
                        "rgb": one.rgb.tolist(),
                        "foreground": one.foreground.tolist(),
                    }
                    for path, one in zip(images, maps, strict=True)
                ],
            }
        )
        return
    line("variance explained: " + ", ".join(f"{share:.1%}" for share in ratio))
    note("drawn in " + " and ".join(one for one in (save, scatter) if one))


def _maps(
    images: tuple[str, ...], folder: str | None, encoder: str | None, basis: str
) -> tuple[list[PcaMap], list[NDArray[np.uint8]]]:
    """The maps of the pictures, and their pixels."""
    import dinosearch
    from dinosearch.pca.files import maps_of_files

    if folder is None:
        return maps_of_files(dinosearch.load_encoder(encoder or "auto"), images)
    with dinosearch.open(folder) as index:
        first, *others = images
        one = index.pca(first, with_hits=others, basis=basis)
        return [one, *one.others], [index.pixels(path, max_side=1024)[0] for path in images]
