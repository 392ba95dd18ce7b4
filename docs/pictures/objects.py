"""Nuclei of the generated stack: predicted, separated, measured, with their table."""

from __future__ import annotations

from window import Window

SLICE = 14
"""Where few nuclei lie over one another."""


def main() -> None:
    """Make the pictures."""
    window = Window("nuclei_stack")
    window.go_to_slice(SLICE)
    window.press("Predict")
    window.wait()
    window.save("nuclei")
    window.press("Objects…")
    window.choose("slice by slice")
    window.press("Separate objects")
    window.wait()
    window.press("Show table")
    window.viewer.layers["Nuclei stack mask"].visible = False
    window.viewer.reset_view()
    window.save("objects")
    window.close()


if __name__ == "__main__":
    main()
