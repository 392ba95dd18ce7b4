import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from unet_engine.compute.runner import Runner
from unet_engine.errors import DataError, EngineError, OutOfMemoryError
from unet_engine.generators import drain
from unet_engine.labels import IGNORE
from unet_engine.models.adaptation import adapt_checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.training import fine_tuning as training
from unet_engine.training import optimisation as optimisation
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.course.ranking import is_better
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.events import FineTuned, Preparing, Step, Validation
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.run import TrainingRun
from unet_engine.training.validation import HeldOut, HeldOutScores

SPEC = ModelSpec(depth=2, width=8)
CONFIG = FineTuneConfig(
    device="cpu", minutes=0, steps=60, crop=32, batch=4, learning_rate=1e-2, elastic=2
)


def discs(seed=0, edge=64, channels=1):
    """Bright discs on a dark ground, with their truth."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:edge, :edge]
    truth = np.zeros((edge, edge), np.uint8)
    for _ in range(6):
        cy, cx, r = rng.integers(0, edge), rng.integers(0, edge), rng.integers(5, 10)
        truth[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = 1
    image = truth + rng.normal(0, 0.2, (channels, edge, edge))
    return TrainingPair(image.astype(np.float32), truth, f"discs{seed}")


def dark_discs(seed):
    pair = discs(seed)
    return TrainingPair(1 - pair.image, pair.target)


PAIRS = tuple(discs(seed) for seed in range(3))


def drained(run):
    """Return the events and the result."""
    events = []
    result = drain(run, events.append)
    return events, result


def train(checkpoint=None, pairs=PAIRS, config=CONFIG, **kwargs):
    start = start_checkpoint(SPEC) if checkpoint is None else checkpoint
    return drained(iter_fine_tune(start, pairs, config, **kwargs))


def with_(**changes):
    return dataclasses.replace(CONFIG, **changes)


@pytest.fixture(scope="module")
def run():
    return train()


@pytest.fixture(scope="module")
def trained(run):
    return run[1].checkpoint


def error(checkpoint, pair):
    found = Runner(checkpoint, "cpu")(pair.image).argmax(axis=0)
    return np.mean(found != pair.target)


@pytest.mark.slow
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_learns_in_either_precision(monkeypatch, precision):
    monkeypatch.setattr(optimisation, "training_precision", lambda device: precision)
    _, result = train()
    assert error(result.checkpoint, discs(9)) < 0.05
    kept = {weights.dtype.name for weights in result.checkpoint.weights.values()}
    assert kept == {"float32", "int64"}


class TestRun:
    @pytest.mark.slow
    def test_model_gets_better_on_an_image_it_never_saw(self, run):
        _, result = run
        assert isinstance(result, FineTuned)
        assert result.improved
        assert result.after.iou > result.before.iou
        unseen = discs(99)
        assert error(result.checkpoint, unseen) < 0.05
        assert error(start_checkpoint(SPEC), unseen) > 0.1

    def test_events_report_the_whole_run(self, run):
        events, result = run
        steps = [e for e in events if isinstance(e, Step)]
        looks = [e for e in events if isinstance(e, Validation)]
        parts = [e for e in events if isinstance(e, Preparing)]
        assert parts == events[: len(parts)]
        assert [(e.done, e.total) for e in parts] == [(0, 3), (1, 3), (2, 3)]
        assert [e.step for e in steps] == list(range(1, 61))
        assert looks[0].step == 0
        assert looks[-1].step == 60
        assert [e.step for e in looks] == list(range(0, 61, 10))
        assert result.before is looks[0]
        assert result.after in looks
        assert result.after.best
        assert all(math.isfinite(e.loss) for e in (*steps, *looks))
        seconds = [e.seconds for e in events[len(parts) :]]
        assert seconds == sorted(seconds)

    def test_best_evaluation_is_returned(self, run):
        events, result = run
        looks = [e for e in events if isinstance(e, Validation)]
        assert result.after.iou == pytest.approx(max(e.iou for e in looks), abs=1e-4)
        assert [e.checkpoint is not None for e in looks] == [
            e.best and e.step > 0 for e in looks
        ]
        weights = looks[looks.index(result.after)].checkpoint.weights
        for name, values in result.checkpoint.weights.items():
            np.testing.assert_array_equal(weights[name], values)

    def test_time_left_falls_to_nothing(self, run):
        left = [e.seconds_left for e in run[0] if isinstance(e, Step)]
        assert all(isinstance(value, float) for value in left)
        assert left[-1] == 0

    def test_history_records_where_the_model_comes_from(self, run, trained):
        _, result = train(trained, config=with_(steps=12))
        first, *rest = result.checkpoint.history
        assert first == trained.history[0]
        assert first["steps"] == run[1].after.step
        assert first["data"] == ["discs0", "discs1", "discs2"]
        assert first["config"]["crop"] == 32
        assert first["after"]["iou"] > first["before"]["iou"]
        assert len(rest) == int(result.improved)

    def test_checkpoint_survives_the_file(self, trained, tmp_path):
        trained.save(tmp_path / "model.safetensors")
        loaded = type(trained).load(tmp_path / "model.safetensors")
        assert loaded.history == trained.history
        for name, weights in trained.weights.items():
            assert np.array_equal(loaded.weights[name], weights)

    def test_what_came_in_is_not_changed(self):
        start = start_checkpoint(SPEC)
        before = {name: w.copy() for name, w in start.weights.items()}
        images = [p.image.copy() for p in PAIRS]
        train(start, config=with_(steps=3))
        assert all(np.array_equal(start.weights[n], w) for n, w in before.items())
        assert start.history == ()
        assert all(
            np.array_equal(p.image, i) for p, i in zip(PAIRS, images, strict=True)
        )


class TestChance:
    def test_same_seed_same_weights(self):
        results = [train(config=with_(steps=8))[1].checkpoint for _ in range(2)]
        for name, weights in results[0].weights.items():
            assert weights.tobytes() == results[1].weights[name].tobytes()

    def test_other_seed_other_weights(self):
        one, other = (train(config=with_(steps=8, seed=s))[1] for s in (0, 1))
        assert any(
            not np.array_equal(w, other.checkpoint.weights[n])
            for n, w in one.checkpoint.weights.items()
        )

    def test_global_state_of_torch_and_numpy_is_left_alone(self):
        torch_state, threads = torch.get_rng_state(), torch.get_num_threads()
        numpy_state = np.random.get_state()[1].copy()
        train(config=with_(steps=3))
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert torch.get_num_threads() == threads
        assert np.array_equal(np.random.get_state()[1], numpy_state)
        assert torch.is_grad_enabled()

    def test_start_is_seeded_and_fresh(self):
        one, same, other = (start_checkpoint(SPEC, seed).weights for seed in (0, 0, 1))
        name = "down.0.0.weight"
        assert np.array_equal(one[name], same[name])
        assert not np.array_equal(one[name], other[name])


class TestEnd:
    def test_stop_returns_the_best_so_far(self):
        polls = iter(range(100))
        events, result = train(config=with_(steps=1000), stop=lambda: next(polls) >= 20)
        assert result.stopped
        assert result.steps == 20
        assert result.improved
        assert isinstance(events[-1], Validation)
        assert events[-1].step == 20

    def test_stop_before_the_first_step_returns_what_came_in(self):
        start = start_checkpoint(SPEC)
        events, result = train(start, stop=lambda: True)
        assert result.checkpoint is start
        assert result.stopped
        assert [type(e) for e in events] == [Preparing] * 3 + [Validation]

    @pytest.mark.slow
    def test_minutes_end_a_run(self, monkeypatch):
        clock = iter(np.arange(0, 1e5, 0.25))
        monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))
        events, result = train(config=with_(steps=0, minutes=1))
        assert 5 < result.steps < 100
        assert 50 < events[-1].seconds < 70
        left = [e.seconds_left for e in events if isinstance(e, Step)]
        assert left[0] is None
        assert left[-2] > left[-1]

    def test_it_ends_when_it_no_longer_gains(self, monkeypatch):
        clock = iter(np.arange(0, 1e5, 0.01))
        monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))
        scores = HeldOutScores(loss=0.5, iou=0.7)
        monkeypatch.setattr(HeldOut, "evaluate", lambda *_, **__: scores)
        monkeypatch.setattr(Optimisation, "_step", lambda *_: 1.0)
        events, result = train(config=with_(steps=0, minutes=10))
        assert result.converged
        assert not result.stopped
        assert 60 <= result.steps < 200
        assert events[-1].seconds < 60
        left = [e.seconds_left for e in events if isinstance(e, Step)]
        known = [value for value in left if value is not None]
        assert left[0] is None
        assert known == sorted(known, reverse=True)
        assert known[-1] == 0

    def test_steps_that_are_given_are_taken_whatever_is_gained(self, monkeypatch):
        scores = HeldOutScores(loss=0.5, iou=0.7)
        monkeypatch.setattr(HeldOut, "evaluate", lambda *_, **__: scores)
        monkeypatch.setattr(Optimisation, "_step", lambda *_: 1.0)
        _, result = train(config=with_(steps=300))
        assert result.steps == 300
        assert not result.converged

    def test_a_limit_that_no_step_fits_is_named(self, monkeypatch):
        clock = iter(np.arange(0, 1e5, 50))
        monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))
        start = start_checkpoint(SPEC)
        _, result = train(start, config=with_(steps=0, minutes=1))
        assert result.steps == 0
        assert result.checkpoint is start
        assert any("Not one step was taken within 1 min" in n for n in result.notes)

    def test_run_can_be_closed_at_any_time(self):
        run = iter_fine_tune(start_checkpoint(SPEC), PAIRS, CONFIG)
        next(run), next(run)
        run.close()
        with pytest.raises(StopIteration):
            next(run)

    def test_no_improvement_keeps_the_very_model_with_a_note(self, trained):
        _, result = train(trained, config=with_(steps=2, learning_rate=1.0))
        assert not result.improved
        assert result.checkpoint is trained
        assert result.after is result.before
        assert any("did not make the model better" in note for note in result.notes)

    def test_a_class_that_is_found_nowhere_is_named(self, monkeypatch):
        # The loss falls all the same, so these weights are kept.
        looks = iter(
            [
                HeldOutScores(loss=0.9, iou=0.4),
                *[HeldOutScores(loss=0.5, iou=0.45, missed=(1,))] * 99,
            ]
        )
        monkeypatch.setattr(HeldOut, "evaluate", lambda *_, **__: next(looks))
        _, result = train(config=with_(steps=2))
        assert result.improved
        (note,) = result.notes
        assert "finds no foreground" in note

    def test_infinite_loss_ends_the_run_and_keeps_the_best(self, monkeypatch):
        step = Optimisation._step
        losses = iter([0.0] * 12 + [math.nan] * 100)

        def fails(self, learning_rate):
            return step(self, learning_rate) + next(losses)

        monkeypatch.setattr(Optimisation, "_step", fails)
        _, result = train()
        assert result.steps == 13
        assert result.improved
        assert result.after.step <= 12
        assert any("lower learning rate" in note for note in result.notes)
        assert all(np.isfinite(w).all() for w in result.checkpoint.weights.values())

    @pytest.mark.cpu
    @pytest.mark.parametrize("half", [True, False])
    def test_a_gradient_that_is_no_number_spoils_no_weight(self, monkeypatch, half):
        """In half precision the training goes on in full; in full it has diverged."""
        dtype = torch.bfloat16 if half else torch.float32
        monkeypatch.setattr(optimisation, "training_precision", lambda _: dtype)
        backward, calls = torch.autograd.backward, iter(range(999))

        def spoils_one(loss):
            backward(loss if next(calls) != 5 else loss * torch.tensor(math.nan))

        monkeypatch.setattr(torch.autograd, "backward", spoils_one)
        _, result = train(config=with_(steps=12))
        assert result.steps == (12 if half else 6)
        diverged = any("lower learning rate" in note for note in result.notes)
        assert diverged == (not half)
        assert all(np.isfinite(w).all() for w in result.checkpoint.weights.values())

    @pytest.mark.slow
    def test_weights_stay_finite_when_the_rate_is_far_too_high(self):
        _, result = train(config=with_(learning_rate=1.0))
        assert all(np.isfinite(w).all() for w in result.checkpoint.weights.values())


class TestErrors:
    def test_pairs_are_checked_before_anything_is_computed(self):
        target = np.zeros((64, 64), np.uint8)
        one_class = TrainingPair(PAIRS[0].image, target)
        with pytest.raises(DataError, match="two classes"):
            next(iter_fine_tune(start_checkpoint(SPEC), [one_class], CONFIG))

    def test_errors_of_torch_become_the_engines(self, monkeypatch):
        def fails(*_):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

        monkeypatch.setattr(Optimisation, "_loss", fails)
        with pytest.raises(EngineError, match="shapes cannot be multiplied"):
            train()

    def test_short_memory_halves_the_batch_with_a_note(self, monkeypatch):
        draw = Optimisation._draw

        def scarce(self):
            if self.batch > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return draw(self)

        monkeypatch.setattr(Optimisation, "_draw", scarce)
        _, result = train(config=with_(batch=4, steps=3))
        assert result.steps == 3
        assert any("1 crops instead of 4" in note for note in result.notes)

    def test_no_memory_at_all_names_what_to_do(self, monkeypatch):
        def fails(*_):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

        monkeypatch.setattr(Optimisation, "_loss", fails)
        with pytest.raises(OutOfMemoryError, match="use a smaller crop"):
            train()


class TestTuning:
    def test_trained_model_keeps_its_statistics(self, trained):
        config = with_(steps=20, learning_rate=3e-3)
        _, result = train(trained, [dark_discs(7)], config)
        assert result.improved
        for name, weights in result.checkpoint.weights.items():
            if "running" in name:
                assert np.array_equal(weights, trained.weights[name])

    @pytest.mark.slow
    def test_statistics_can_be_learned_again(self, trained):
        config = with_(steps=20, learning_rate=3e-3, statistics="batch")
        _, result = train(trained, [dark_discs(7)], config)
        assert result.improved
        name = "down.0.1.running_mean"
        assert not np.array_equal(
            result.checkpoint.weights[name], trained.weights[name]
        )

    @pytest.mark.slow
    def test_a_few_strokes_correct_their_region_and_spare_the_rest(self, trained):
        # A grey ripple in one corner that belongs to the discs: new to the model.
        pair = discs(5)
        image, target = pair.image.copy(), np.full((64, 64), IGNORE, np.uint8)
        image[0, 8:24, 8:24] = 0.4 + 0.2 * np.sin(np.arange(16))
        target[10:22, 10:22] = 1
        target[40:44, 4:60] = pair.target[40:44, 4:60]
        strokes = TrainingPair(image, target)
        _, result = train(trained, [strokes], with_(steps=80, learning_rate=1e-2))
        before, after = (
            Runner(c, "cpu")(image).argmax(axis=0) for c in (trained, result.checkpoint)
        )
        corner = np.s_[10:22, 10:22]
        assert np.mean(before[corner] == 1) < 0.5
        assert np.mean(after[corner] == 1) > 0.8
        rest = np.s_[32:, 32:]
        assert np.mean(after[rest] != before[rest]) < 0.05

    def test_images_smaller_than_the_crop_are_enough(self):
        small = discs(3, edge=20)
        _, result = train(pairs=[small], config=with_(steps=3, crop=192))
        assert result.steps == 3

    @pytest.mark.slow
    def test_several_channels_and_classes(self):
        spec = ModelSpec(depth=2, width=4, in_channels=3, classes=("a", "b", "c"))
        pair = discs(1, channels=3)
        pair.target[:5] = 2
        _, result = train(start_checkpoint(spec), [pair])
        assert result.after.iou > result.before.iou


class TestAdapt:
    def test_nothing_to_adapt_is_the_same_model(self, trained):
        assert adapt_checkpoint(trained) is trained
        assert adapt_checkpoint(trained, classes=SPEC.classes) is trained

    def test_new_classes_leave_the_prediction_as_it_is(self, trained):
        more = adapt_checkpoint(trained, classes=("background", "disc", "new", "newer"))
        image = discs(8).image
        before, after = (Runner(c, "cpu")(image) for c in (trained, more))
        assert more.spec.classes[1:] == ("disc", "new", "newer")
        assert np.array_equal(before.argmax(axis=0), after.argmax(axis=0))
        assert after[2:].max() < 0.5
        assert more.history == trained.history

    @pytest.mark.slow
    def test_new_class_can_be_learned(self, trained):
        more = adapt_checkpoint(trained, classes=("background", "disc", "bright"))
        pair = discs(8)
        image, target = pair.image.copy(), pair.target.copy()
        image[:, 20:40, 20:40] += 2
        target[20:40, 20:40] = 2
        pair = TrainingPair(image, target)
        config = with_(steps=160, learning_rate=3e-3, statistics="batch")
        _, result = train(more, [pair], config)
        found = Runner(result.checkpoint, "cpu")(image).argmax(axis=0)
        assert np.mean(found[20:40, 20:40] == 2) > 0.5

    def test_fewer_classes_keep_the_first_ones(self, trained):
        more = adapt_checkpoint(trained, classes=("background", "disc", "new"))
        fewer = adapt_checkpoint(more, classes=("background", "disc"))
        for name, weights in trained.weights.items():
            assert np.array_equal(fewer.weights[name], weights)

    def test_other_channels_see_a_grey_image_as_before(self, trained):
        colour = adapt_checkpoint(trained, in_channels=3)
        image = discs(8).image
        before = Runner(trained, "cpu")(image)
        after = Runner(colour, "cpu")(np.repeat(image, 3, axis=0))
        assert np.allclose(before, after, atol=1e-5)


class TestBest:
    def test_harm_to_the_rest_ranks_the_candidates(self):
        harmful = HeldOutScores(loss=0.1, iou=0.9, changed=0.2)
        gentle = HeldOutScores(loss=0.1, iou=0.8, changed=0.01)
        assert is_better(gentle, harmful, change_cost=5.0)
        assert is_better(harmful, gentle, change_cost=0.0)

    def test_same_iou_is_decided_by_the_loss(self):
        assert is_better(
            HeldOutScores(loss=0.1, iou=0.9),
            HeldOutScores(loss=0.2, iou=0.9),
            change_cost=5.0,
        )

    def test_infinite_loss_is_never_better(self):
        bad = HeldOutScores(loss=math.nan, iou=1.0)
        assert not is_better(bad, HeldOutScores(loss=9.0, iou=0.0), change_cost=5.0)

    @pytest.mark.parametrize(("pixels", "kept"), [(400, 4), (40_000, 1)])
    def test_few_held_out_strokes_do_not_make_an_early_evaluation_the_best(
        self, pixels, kept
    ):
        """The second evaluation is better by chance."""
        target = np.full((300, 300), IGNORE, np.uint8)
        target.flat[:pixels] = 1
        held_out = TrainingPair(np.zeros((1, 300, 300), np.float32), target)
        ious = [0.2, 0.76, 0.3, 0.65, 0.66]
        evaluator = SimpleNamespace(
            evaluate=lambda *_, **__: HeldOutScores(loss=1.0, iou=ious[run.state.step]),
        )
        optimisation = SimpleNamespace(
            average=SimpleNamespace(network=None), device="cpu", frozen=True, batch=1,
            step=lambda _: 1.0, weights=lambda: {"step": np.array(run.state.step)},
        )  # fmt: skip
        run = TrainingRun(
            start_checkpoint(SPEC), FineTuneConfig(steps=4, minutes=0, batch=1),
            optimisation, evaluator, record={}, notes=(), advice="",
            tolerance=training._tolerance([held_out]),
        )  # fmt: skip
        run._is_evaluation_due = lambda: True
        _, result = drained(run.events(lambda: False))
        assert result.checkpoint.weights["step"] == kept

    @pytest.mark.parametrize(
        ("overtakes", "kept"),
        [
            ([False, True, True, True], 3),
            ([False, True, False, False], None),
            ([False, True, False, True], 3),
        ],
    )
    def test_an_early_network_that_overtook_by_chance_is_given_up(
        self, overtakes, kept
    ):
        evaluator = SimpleNamespace(
            evaluate=lambda *_, **__: HeldOutScores(
                loss=1.0, iou=0.9 - 0.1 * run.state.step, share=0.5,
                overtakes=overtakes[run.state.step],
            ),
        )  # fmt: skip
        optimisation = SimpleNamespace(
            average=SimpleNamespace(network=None), device="cpu", frozen=True, batch=1,
            step=lambda _: 1.0, weights=lambda: {"step": np.array(run.state.step)},
        )  # fmt: skip
        run = TrainingRun(
            start_checkpoint(SPEC), FineTuneConfig(steps=3, minutes=0, batch=1),
            optimisation, evaluator, record={}, notes=(), advice="", tolerance=1.0,
        )  # fmt: skip
        run._is_evaluation_due = lambda: True
        _, result = drained(run.events(lambda: False))
        assert result.improved == (kept is not None)
        if kept is not None:
            assert result.checkpoint.weights["step"] == kept
            assert result.share == 0.5
