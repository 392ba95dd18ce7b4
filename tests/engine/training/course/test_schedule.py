import pytest

from unet_engine.training.course.schedule import Schedule


def by_steps(steps=100):
    return Schedule(steps=steps, seconds=0, peak=1.0)


def by_time(seconds=100.0):
    return Schedule(steps=0, seconds=seconds, peak=1.0)


def test_whichever_limit_is_nearer_counts():
    both = Schedule(steps=100, seconds=50, peak=1.0)
    assert both.progress(10, 40) == pytest.approx(0.8)
    assert both.progress(90, 10) == pytest.approx(0.9)
    assert both.progress(200, 10) == 1


def test_the_time_of_the_start_changes_nothing_where_steps_end_the_run():
    both = Schedule(steps=1000, seconds=100, peak=1.0)
    assert [both.progress(step, 0.1 * step / 2 + 1.5) for step in (0, 1, 9)] == [
        0,
        0.001,
        0.009,
    ]
    assert both.progress(0, 3) == pytest.approx(0.03)
    assert both.progress(995, 100) == 1


def test_rate_warms_up_and_cools_down():
    schedule = by_steps()
    rates = [schedule.learning_rate(p, p / 100) for p in range(101)]
    top = rates.index(max(rates))
    assert 0 < rates[0] < 0.2
    assert 2 <= top <= 8
    assert max(rates) > 0.95
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0)


def test_evaluations_do_not_depend_on_the_clock_where_steps_end_the_run():
    assert by_steps(400).next_evaluation(100, 1e6, 50) == pytest.approx(0.25 + 1 / 20)
    both = Schedule(steps=400, seconds=1000, peak=1.0)
    assert both.next_evaluation(100, 10, 99) == by_steps(400).next_evaluation(100, 0, 0)


def test_short_runs_evaluate_rarely():
    assert by_steps(40).next_evaluation(0, 0, 0) == pytest.approx(10 / 40)


def test_slow_evaluations_are_rarer_where_time_ends_the_run():
    assert by_time().next_evaluation(0, 10, 0.01) == pytest.approx(0.1 + 1 / 20)
    assert by_time().next_evaluation(0, 10, 6) == pytest.approx(0.1 + 6 / 0.06 / 100)


def test_time_of_the_last_evaluation_and_of_a_rest_is_kept_free():
    schedule = by_time().sparing(5)
    assert schedule.progress(0, 93.9) < 1
    assert schedule.progress(0, 94) == 1
    assert by_time(10).sparing(0.5).progress(0, 9) == 1
    assert by_time(10).sparing(0.5).progress(0, 8.9) < 1
    assert by_time().sparing(90).progress(0, 74) < 1


def test_time_left_is_that_of_the_nearer_limit():
    both = Schedule(steps=100, seconds=50, peak=1.0)
    assert both.seconds_left(10, 20, step_seconds=2) == 30
    assert both.seconds_left(95, 20, step_seconds=2) == 10
    assert by_steps().seconds_left(100, 20, step_seconds=2) == 0
    assert by_time().seconds_left(3, 120, step_seconds=2) == 0


def test_the_rate_of_an_open_end_is_constant_until_it_ends():
    schedule = Schedule(steps=0, seconds=600, peak=1.0, open_ended=True)
    first = schedule.learning_rate(0, 0.0)
    steady = schedule.learning_rate(50, 0.1)
    assert 0 < first < 0.1 * steady
    assert schedule.learning_rate(300, 0.8) == steady == 0.5
    assert schedule.learning_rate(300, 0.95) == pytest.approx(0.3 * steady)
    assert schedule.learning_rate(300, 1.0) == 0
    # Of a limit that is shorter than the warm-up in steps.
    assert schedule.learning_rate(2, 0.1) == steady


def test_the_decay_begins_where_gains_end_and_ends_the_run():
    schedule = Schedule(steps=0, seconds=600, peak=1.0, open_ended=True)
    assert schedule.seconds_left(100, 60, step_seconds=0.6) is None
    decay = schedule.ending_soon(100)
    rates = [decay.learning_rate(n, decay.progress(n, 60)) for n in range(100, 121)]
    assert rates[0] == pytest.approx(0.5)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0)
    assert decay.progress(120, 70) == 1
    assert decay.seconds_left(110, 66, step_seconds=0.6) == pytest.approx(6)
    # The limit ends it before, where that comes first.
    assert decay.progress(105, 600) == 1
