"""The texts of a batch, a prediction, objects and a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.images.choice import ImageChoice
from unet_engine.scripting.texts import RunTexts, call_of, option_words

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from unet_engine.batch import BatchConfig
    from unet_engine.models.spec import ModelSpec
    from unet_engine.objects import ObjectConfig
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.training.config import FineTuneConfig

    Path_ = str | os.PathLike[str]

_NOT_OPTIONS = ("probabilities", "object_maps")
"""Fields of a prediction that the steps set themselves."""


def batch_texts(
    sources: Sequence[Path_],
    out: Path_ | None,
    model: str,
    config: BatchConfig,
    *,
    overwrite: bool = False,
) -> RunTexts:
    """Return a batch as ``run_batch`` and ``napari-unet batch`` do it.

    Parameters
    ----------
    sources, out, config, overwrite
        As of ``plan_batch`` and ``run_batch``.
    model
        Name or file of the model.
    """
    words = ["batch", *map(_shown, sources), f"--model={model}"]
    words += [] if out is None else [f"--output={_shown(out)}"]
    wanted = ("masks", "objects", "table")
    words += [f"--no-{name}" for name in wanted if not getattr(config, name)]
    words += option_words(config.images)
    words += option_words(config.prediction, without=_NOT_OPTIONS)
    words += option_words(config.finding)
    words += ["--planes"] if config.planes else []
    words += [] if config.boundary is None else [f"--boundary={config.boundary}"]
    words += [] if config.scale is None else [f"--scale={_numbers(config.scale)}"]
    words += ["--overwrite"] if overwrite else []
    places = _list_of(sources)
    last = ", overwrite=True" if overwrite else ""
    lines = [
        f"plan = plan_batch({places}, {_python(out)})",
        f'model = ModelStore().load("{_escaped(model)}")',
        f"config = {_batch_call(config)}",
        f"result = run_batch(plan, model, config{last})",
        "print(result)",
    ]
    names = ["BatchConfig", "ModelStore", "ObjectConfig", "PredictConfig"]
    python = _script(
        lines,
        {
            "unet_engine": [*names, "plan_batch", "run_batch"],
            "unet_engine.images.choice": ["ImageChoice"],
        },
    )
    return RunTexts(words=tuple(words), python=python)


def prediction_texts(
    image: Path_,
    mask: Path_,
    model: str,
    config: PredictConfig,
    *,
    choice: ImageChoice | None = None,
) -> RunTexts:
    """Return the prediction of an image as ``napari-unet predict`` does it.

    Parameters
    ----------
    image, mask
        What is read and what is written.
    model
        Name or file of the model.
    config
        How it is predicted.
    choice
        How the image is read.
    """
    choice = choice or ImageChoice()
    words = ["predict", _shown(image), _shown(mask), f"--model={model}"]
    words += option_words(choice)
    words += option_words(config, without=_NOT_OPTIONS)
    lines = [
        *_prediction_lines(image, model, config, choice),
        f"write_labels({_python(mask)}, prediction.labels, image=image, "
        "replaceable=True)",
    ]
    return RunTexts(words=tuple(words), python=_script(lines, _NAMES))


def objects_texts(
    image: Path_,
    mask: Path_,
    model: str,
    prediction: PredictConfig,
    finding: ObjectConfig,
    spec: ModelSpec,
    *,
    ndim: int = 2,
    scale: tuple[float, ...] | None = None,
    choice: ImageChoice | None = None,
) -> RunTexts:
    """Return the objects of a mask as ``napari-unet objects`` finds them.

    The script predicts the mask, too; the command reads it.

    Parameters
    ----------
    image, mask
        The image, and its mask as a prediction wrote it; the results lie beside it.
    model, prediction, choice
        As of ``prediction_texts``.
    finding
        How objects are found.
    spec
        Of the model.
    ndim
        In how many dimensions an object extends.
    scale
        Size of a pixel in µm that was stated, or None.
    """
    choice = choice or ImageChoice()
    stem = Path(mask).with_suffix("")
    ids, table = f"{stem}_objects.tif", f"{stem}_objects.csv"
    maps = finding.method == "watershed" and bool(spec.object_maps)
    words = ["objects", _shown(mask), f"--output={ids}", f"--table={table}"]
    words += [f"--image={_shown(image)}"]
    if choice.axes is not None:
        words.append(f"--image-axes={choice.axes}")
    if maps:
        words.append(f"--model={model}")
        words.append(f"--object-size={prediction.object_size}")
    words += option_words(finding)
    words += ["--planes"] if ndim == 2 else []
    words += [] if scale is None else [f"--scale={_numbers(scale)}"]
    lines = [
        *_prediction_lines(image, model, prediction, choice, maps=maps),
        *(
            [f'lengths = image.pixel_size.lengths("{"ZYX"[-ndim:]}")']
            if scale is None
            else [
                f"lengths = {scale!r}",
                "image = with_scale(image, None, lengths)",
            ]
        ),
        "mask = SemanticMask(",
        "    classes=prediction.labels,",
        f"    ndim={ndim},",
        f'    spacing=image.pixel_size.proportions("{"ZYX"[-ndim:]}"),',
        *(
            [
                "    object_maps=prediction.object_maps,",
                f"    map_names={spec.object_maps!r},",
            ]
            if maps
            else []
        ),
        ")",
        f"objects = label_objects(mask, {call_of(finding)})",
        'axes = image.leading_axes + "YX"',
        "table = measure_objects(objects, image, scale=lengths, axes=axes)",
        f"write_labels({_python(ids)}, objects.labels, image=image)",
        f"write_table({_python(table)}, table)",
    ]
    note = (
        f"The command reads {Path(mask).name}: copy the one of step 1 first, or save "
        "the mask under this name when you corrected it."
    )
    return RunTexts(words=tuple(words), python=_script(lines, _NAMES), note=note)


def fine_tuning_texts(
    images: Sequence[Path_],
    model: str,
    name: str,
    config: FineTuneConfig,
    spec: ModelSpec,
    *,
    classes: Sequence[str] = (),
    note: str = "",
) -> RunTexts:
    """Return a training on the strokes of images as ``napari-unet finetune`` does it.

    Parameters
    ----------
    images
        Whose strokes are learned from.
    model, spec
        What it starts from.
    name
        Of the new model.
    config
        How it learns.
    classes
        Of the new model, when they are not those of the first one.
    note
        What the texts do not hold.
    """
    recipe = spec.row.recipe_for(transfer=True)
    # The command takes steps that are stated for all that limits a training.
    always = {*recipe, *(["minutes"] if config.steps else [])}
    new = tuple(classes) if tuple(classes) != tuple(spec.classes) else ()
    words = ["finetune", "--strokes", *map(_shown, images)]
    words += [f"--from={model}", f"--out={name}"]
    words += [f"--classes={','.join(new)}"] if new else []
    words += option_words(config, always=always)
    start = f'model = ModelStore().load("{_escaped(model)}")'
    lines = [
        start,
        *([f"model = with_classes(model, {new!r})"] if new else []),
        "data = []",
        f"for path in {_list_of(images)}:",
        "    image = open_image(path)",
        "    strokes = StrokeStore().open(ImageIdentity.of(image, path))",
        "    data.append(PaintedImage(image=image, strokes=strokes))",
        f"tuned = fine_tune(model, data, {call_of(config, always=always)})",
        "if tuned.improved:",
        f'    ModelStore().save("{_escaped(name)}", tuned.checkpoint)',
    ]
    return RunTexts(words=tuple(words), python=_script(lines, _NAMES), note=note)


_NAMES = {
    "unet_engine": [
        "FineTuneConfig",
        "ImageIdentity",
        "ModelStore",
        "ObjectConfig",
        "PaintedImage",
        "PredictConfig",
        "SemanticMask",
        "StrokeStore",
        "fine_tune",
        "label_objects",
        "measure_objects",
        "open_image",
        "predict",
        "with_classes",
        "write_labels",
        "write_table",
    ],
    "unet_engine.objects.mask_image": ["with_scale"],
}
"""Names that scripts may use, by the modules that they are imported from."""


def _prediction_lines(
    image: Path_,
    model: str,
    config: PredictConfig,
    choice: ImageChoice,
    *,
    maps: bool = False,
) -> list[str]:
    stated = call_of(choice).removeprefix("ImageChoice(").removesuffix(")")
    inside = f", {stated}" if stated else ""
    call = call_of(config, without=_NOT_OPTIONS)
    if maps:
        empty = call.endswith("()")
        call = f"{call[:-1]}{'' if empty else ', '}object_maps=True)"
    return [
        f"image = open_image({_python(image)}{inside})",
        f'model = ModelStore().load("{_escaped(model)}")',
        f"prediction = predict(image, model, {call})",
    ]


def _batch_call(config: BatchConfig) -> str:
    """Return the call that makes the settings of a batch, a line for each part."""
    own = call_of(config, without=("prediction", "finding", "images"))
    inside = own.removeprefix("BatchConfig(").removesuffix(")")
    parts = [f"prediction={call_of(config.prediction, without=_NOT_OPTIONS)}"]
    parts.append(f"finding={call_of(config.finding)}")
    if config.images != ImageChoice():
        parts.append(f"images={call_of(config.images)}")
    parts += [inside] if inside else []
    return "BatchConfig(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def _script(lines: Iterable[str], names: Mapping[str, Sequence[str]]) -> str:
    """Return lines below the imports of those names that they use."""
    body = "\n".join(lines)
    imports = []
    for module, offered in names.items():
        used = [name for name in offered if f"{name}(" in body or f"{name}." in body]
        if used:
            inside = "".join(f"    {name},\n" for name in used)
            imports.append(f"from {module} import (\n{inside})")
    return "\n".join(imports) + f"\n\n{body}\n"


def _shown(path: Path_) -> str:
    return str(Path(path))


def _python(path: Path_ | None) -> str:
    return repr(None if path is None else str(Path(path)))


def _list_of(paths: Sequence[Path_]) -> str:
    inside = "".join(f"    {_python(path)},\n" for path in paths)
    return f"[\n{inside}]"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _numbers(values: Sequence[float]) -> str:
    return ",".join(map(repr, values))
