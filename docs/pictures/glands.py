"""The loop on stained tissue: a new model, strokes, Live, a training, other fields."""

from __future__ import annotations

from window import Window

CLASSES = "background, gland, nucleus"
FIELD = 3
"""The field that is painted on, of four."""
OTHER_FIELD = 2
"""A field without a stroke."""
STROKES = {
    "gland": [[(110, 20), (140, 100)], [(190, 30), (230, 100)], [(12, 110), (22, 165)]],
    "background": [
        [(150, 190), (200, 190)],
        [(57, 66), (64, 95)],
        [(225, 140), (250, 158)],
        [(50, 205), (80, 212)],
    ],
    "nucleus": [
        [(102, 162), (132, 160)],
        [(92, 148), (115, 151)],
        [(30, 61), (37, 62)],
        [(33, 98), (40, 105)],
        [(165, 151), (180, 150)],
        [(115, 206), (132, 207)],
    ],
}
"""Where the user paints: corners of each stroke, row and column in pixels. Nuclei in
the glands belong to the glands."""
BRUSH = {"gland": 8, "background": 8, "nucleus": 4}
"""Diameter in pixels: a stroke has to stay inside what it marks."""

TRAINING = {"steps": 80, "crop": 96}
"""Steps, so that every computer makes the same picture; small crops, to be quick."""
LONGEST_SECONDS = 600.0
"""Never reached but on a computer that does much else."""


def main() -> None:
    """Make the pictures."""
    window = Window("ihc_fields")
    _describe_model(window)
    window.go_to_slice(FIELD)
    window.viewer.reset_view()
    window.press("Start with an empty mask")
    for name, strokes in STROKES.items():
        window.press(name)
        for stroke in strokes:
            window.paint(stroke, brush=BRUSH[name])
    window.press("Show touched pixels")
    window.save("strokes")
    window.press("Show touched pixels")
    window.press("Live")
    window.wait_for_text(f"Live: {sum(map(len, STROKES.values()))} strokes")
    window.save("demo")
    window.press("Live")
    _train(window)
    window.close()


def _describe_model(window: Window) -> None:
    window.choose_in_menu("New model…")
    dialog = window.dialog()
    window.choose("model general", dialog)
    window.write(CLASSES, "background, foreground", dialog)
    window.write("glands", "unet", dialog)
    window.save("new-model", dialog)
    window.press("Create", dialog)


def _train(window: Window) -> None:
    window.press("Advanced settings")
    for name, value in TRAINING.items():
        window.set_number(name, value)
    window.press("Advanced settings")
    window.press("Fine-tune")
    window.wait(seconds=LONGEST_SECONDS)
    window.go_to_slice(OTHER_FIELD)
    window.save("other-field")


if __name__ == "__main__":
    main()
