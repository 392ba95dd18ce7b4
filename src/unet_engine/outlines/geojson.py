"""Outlines as GeoJSON, as QuPath imports and exports its objects.

A feature for each object and plane; QuPath 0.4 and later know the measurements as an
object, earlier ones as a list of names and values, and both are read.
"""

from __future__ import annotations

import colorsys
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.outlines.identities import label_of, numbered
from unet_engine.outlines.outline import Outline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TextIO

_GOLDEN = 0.618034
"""Step around the circle of colours after which neighbours differ most."""


def write_geojson(file: TextIO, outlines: Iterable[Outline]) -> None:
    """Write a FeatureCollection of detections, one line for each.

    Parameters
    ----------
    file
        Open for writing as UTF-8.
    outlines
        Written one by one.
    """
    colours: dict[str, list[int]] = {}
    file.write('{"type":"FeatureCollection","features":[')
    for number, outline in enumerate(outlines):
        file.write(",\n" if number else "\n")
        text = json.dumps(
            _feature(outline, colours),
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
        file.write(text)
    file.write("\n]}\n")


def outlines_of_geojson(content: Any) -> tuple[list[Outline], list[str]]:
    """Return the objects of a parsed GeoJSON file.

    Parameters
    ----------
    content
        A FeatureCollection, a feature, or a list of features.

    Returns
    -------
    outlines, notes
        Polygons and MultiPolygons; and what was left out.

    Raises
    ------
    KeyError, TypeError, ValueError
        When it is no GeoJSON.
    """
    outlines = []
    others = 0
    for feature in _features(content):
        polygons = tuple(_polygons(feature["geometry"]))
        if not polygons:
            others += 1
            continue
        properties = feature.get("properties") or {}
        plane = feature["geometry"].get("plane") or {}
        t, z = (max(int(plane.get(axis, 0)), 0) for axis in "tz")
        outlines.append(
            Outline(
                label=label_of(properties.get("name")),
                polygons=polygons,
                t=t,
                z=z,
                class_name=_class_name(properties.get("classification")),
                measurements=_measurements(properties.get("measurements")),
            )
        )
    notes = [f"{others} objects that are no areas were left out"] if others else []
    return numbered(outlines), notes


def _feature(outline: Outline, colours: dict[str, list[int]]) -> dict[str, Any]:
    polygons = [
        [[*ring.tolist(), ring[0].tolist()] for ring in polygon]
        for polygon in outline.polygons
    ]
    several = len(polygons) > 1
    geometry: dict[str, Any] = {
        "type": "MultiPolygon" if several else "Polygon",
        "coordinates": polygons if several else polygons[0],
    }
    if outline.t or outline.z:
        geometry["plane"] = {"c": -1, "z": outline.z, "t": outline.t}
    properties: dict[str, Any] = {
        "objectType": "detection",
        "name": str(outline.label),
    }
    if outline.class_name:
        name = outline.class_name
        colour = colours.setdefault(name, _colour(len(colours)))
        properties["classification"] = {"name": name, "color": colour}
    if outline.measurements:
        properties["measurements"] = dict(outline.measurements)
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _colour(number: int) -> list[int]:
    """Return red, green and blue of a class, from 0 to 255."""
    parts = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.8, 0.9)
    return [round(255 * part) for part in parts]


def _features(content: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, list):
        for one in content:
            yield from _features(one)
    elif content["type"] == "FeatureCollection":
        yield from _features(content["features"])
    elif content["type"] == "Feature":
        if content.get("geometry"):
            yield content
    else:
        raise ValueError(f"no feature but {content['type']}")


def _polygons(geometry: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    kind = geometry["type"]
    if kind == "GeometryCollection":
        for one in geometry["geometries"]:
            yield from _polygons(one)
    elif kind in ("Polygon", "MultiPolygon"):
        coordinates = geometry["coordinates"]
        for rings in coordinates if kind == "MultiPolygon" else [coordinates]:
            yield tuple(_ring(points) for points in rings)


def _ring(points: Any) -> Any:
    # A third coordinate is a height.
    ring = np.array([point[:2] for point in points], np.float64)
    if len(ring) < 3 or not np.isfinite(ring).all():
        raise ValueError("a ring of fewer than three corners, or with one that is none")
    return ring[:-1] if (ring[0] == ring[-1]).all() else ring


def _class_name(classification: Any) -> str:
    if not isinstance(classification, dict):
        return str(classification or "")
    # Derived classes have a list of names in QuPath 0.5.
    names = classification.get("names") or [classification.get("name")]
    return ": ".join(str(name) for name in names if name)


def _measurements(measured: Any) -> dict[str, float]:
    if isinstance(measured, list):
        measured = {each["name"]: each["value"] for each in measured}
    numbers = (int, float)
    return {k: v for k, v in (measured or {}).items() if isinstance(v, numbers)}
