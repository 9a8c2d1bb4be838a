"""PCA maps of files, without an index."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from dinosearch.encoders import Encoder
from dinosearch.errors import InvalidInput
from dinosearch.images import Decoder, grid_for
from dinosearch.pca.maps import PcaMap, pca_maps

DRAWN_SIDE = 1024


def maps_of_files(
    encoder: Encoder, paths: Sequence[str | PathLike[str]]
) -> tuple[list[PcaMap], list[NDArray[np.uint8]]]:
    """The maps of picture files on one basis, and their pixels [h, w, 3] to draw them by.

    Raises `InvalidInput`, `PictureRefused`.
    """
    if not paths:
        raise InvalidInput("name at least one picture")
    pixels, grids = [], []
    with Decoder(encoder.view, workers=1, thumbnails=False) as decoder:
        for path in paths:
            shown, facts = decoder.pixels(path, max_side=DRAWN_SIDE)
            pixels.append(shown)
            grids.append(grid_for(encoder.view, facts.width, facts.height)[0])
    features = encoder.encode(list(paths))
    tokens = list(zip(features.patches, grids, strict=True))
    return pca_maps(tokens, norms=list(features.patch_norms)), pixels
