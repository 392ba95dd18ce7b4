"""Colours of the classes that colour-blind people can distinguish too."""

from __future__ import annotations

from colorsys import hsv_to_rgb

BACKGROUND_COLOUR = "#9aa5b1"
"""Colour of the background where it has to be visible; a mask has it transparent."""

# The first three are close to those of Okabe and Ito 2008; a green comes first, as it
# stands out from grey as well as from brown, pink and blue stains. The others were
# searched on a grid of sRGB such that any two of all 30 and the background are at least
# 13 apart in CIELAB (2.3 is just noticeable), to people with usual vision and to those
# with protanopia, deuteranopia and tritanopia (simulated after Machado et al. 2009).
# Light ones that are far from all before them come first.
_COLOURS = (
    "#00d49b", "#e69f00", "#56b4e9", "#aa44ff", "#ccff99", "#bb4433", "#004477",
    "#aa6666", "#aaffee", "#eedd00", "#eeff77", "#7777cc", "#aa77ff", "#eeccff",
    "#337788", "#ee0000", "#55ffbb", "#66aa66", "#bbcc77", "#ff8844", "#bb77bb",
    "#ee6655", "#6622aa", "#7700ff", "#881122", "#663355", "#0033cc", "#992299",
    "#990000", "#883344",
)  # fmt: skip


def colour_of(label: int) -> str:
    """Return the colour of a class as ``#rrggbb``; class 0 is the background."""
    if label == 0:
        return BACKGROUND_COLOUR
    if label <= len(_COLOURS):
        return _COLOURS[label - 1]
    # Steps of the golden ratio, 0.618, never come back to the same hue. Saturation and
    # brightness stand out from grey stains and from the background.
    red, green, blue = hsv_to_rgb(label * 0.618034 % 1.0, 0.65, 0.95)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
