"""The screen as PNG, drawn by Pillow: letters by fonts, lines and blocks as geometry, each cell at its own place."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from meshtop.ui.picture.fonts import font_for
from meshtop.ui.picture.grid import Cell, Colour, Grid, Run
from meshtop.ui.picture.shapes import CELL, LIGHT, Arc, Box, Dot, Shape, shapes

BASELINE = 18  # of a line, from its top
_FINER = 4  # curves are drawn that much larger and scaled down, which smooths them


def png(grid: Grid, title: str) -> tuple[bytes, frozenset[str]]:
    """The file, and the signs that no font here has; they are drawn as empty boxes."""
    image = Image.new("RGB", (grid.width * CELL[0], grid.height * CELL[1]), grid.ground)
    draw = ImageDraw.Draw(image)
    missing: set[str] = set()
    for row, runs in enumerate(grid.rows):
        for run in runs:
            for cell in run.cells():
                if not _cell(image, draw, cell, row * CELL[1], run):
                    missing.add(cell.text)
    told = PngInfo()
    told.add_itxt("Title", title)
    told.add_itxt("Software", "meshtop")
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=told, optimize=True)
    return file.getvalue(), frozenset(missing)


def _cell(image: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, top: int, run: Run) -> bool:
    left, width = cell.column * CELL[0], cell.width * CELL[0]
    draw.rectangle((left, top, left + width - 1, top + CELL[1] - 1), fill=run.ground)
    if run.underline:
        draw.rectangle((left, top + BASELINE + 2, left + width - 1, top + BASELINE + 3), fill=run.colour)
    if cell.text.isspace():
        return True
    drawn = shapes(cell.text)
    if drawn is not None:
        for shape in drawn:
            _shape(image, draw, shape, left, top, run)
        return True
    font = font_for(cell.text[0], run.bold, cell.width > 1)
    if font is None:
        draw.rectangle((left + 2, top + 4, left + width - 3, top + BASELINE), outline=run.colour)
        return False
    box = font.getbbox(cell.text, anchor="ls")
    advance = font.getlength(cell.text)
    shift = (width - advance) / 2 if cell.width > 1 or box[2] > width else 0.0
    draw.text((left + round(shift), top + BASELINE), cell.text, fill=run.colour, font=font, anchor="ls")
    return True


def _shape(image: Image.Image, draw: ImageDraw.ImageDraw, shape: Shape, left: int, top: int, run: Run) -> None:
    if isinstance(shape, Box):
        box = (left + round(shape.x0), top + round(shape.y0), left + round(shape.x1) - 1, top + round(shape.y1) - 1)
        draw.rectangle(box, fill=_mixed(run.colour, run.ground, shape.opacity))
    else:
        image.paste(run.colour, (left, top), _curve(shape))


@lru_cache(maxsize=64)
def _curve(shape: Arc | Dot) -> Image.Image:
    """The mask of one cell."""
    mask = Image.new("L", (CELL[0] * _FINER, CELL[1] * _FINER), 0)
    draw = ImageDraw.Draw(mask)
    if isinstance(shape, Dot):
        draw.circle((shape.x * _FINER, shape.y * _FINER), shape.radius * _FINER, fill=255)
    else:
        for radius, fill in ((shape.radius + LIGHT / 2, 255), (shape.radius - LIGHT / 2, 0)):
            draw.circle((shape.cx * _FINER, shape.cy * _FINER), radius * _FINER, fill=fill)
        _keep_quadrant(mask, draw, shape)
    return mask.resize(CELL, Image.Resampling.BOX)


def _keep_quadrant(mask: Image.Image, draw: ImageDraw.ImageDraw, arc: Arc) -> None:
    """Blank what lies on the other side of the centre; what lies beside the cell is cut anyway."""
    beyond = arc.cy * _FINER
    if arc.quadrant in (0, 1):
        draw.rectangle((0, 0, mask.width, beyond - 1), fill=0)
    else:
        draw.rectangle((0, beyond, mask.width, mask.height), fill=0)


def _mixed(ink: Colour, paper: Colour, opacity: float) -> Colour:
    red, green, blue = (round(one * opacity + other * (1 - opacity)) for one, other in zip(ink, paper, strict=True))
    return red, green, blue
