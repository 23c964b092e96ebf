"""The backlog: all is done in order, never more than it holds, and by nobody's time but its own thread's."""

import threading

from assent.observe.backlog import RUSH, SLICE, Backlog


def test_what_is_put_is_done_in_order_while_it_is_open() -> None:
    done: list[int] = []
    enough = threading.Event()

    def work(number: int) -> None:
        done.append(number)
        if number == 99:
            enough.set()

    backlog = Backlog(work, 1000)
    with backlog.open():
        for number in range(100):
            backlog.put((number,))
        assert enough.wait(10)
        assert done == list(range(100))


def test_what_is_left_is_done_when_it_closes() -> None:
    done: list[int] = []
    backlog = Backlog(done.append, 10_000)
    with backlog.open():
        for number in range(5000):
            backlog.put((number,))
    assert done == list(range(5000))


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    done: list[int] = []
    backlog = Backlog(done.append, 3)
    for number in range(5):
        backlog.put((number,))
    backlog.flush()
    assert (done, backlog.dropped) == ([0, 1, 2], 2)


def test_an_item_of_many_values_is_one_item() -> None:
    done: list[tuple[int, str]] = []
    backlog = Backlog(lambda number, word: done.append((number, word)), 2, width=2)
    for number in range(3):
        backlog.put((number, "a"))
    assert backlog.waiting == 2
    backlog.flush()
    assert (done, backlog.dropped) == ([(0, "a"), (1, "a")], 1)


def test_in_a_rush_the_thread_leaves_its_work_for_later() -> None:
    done: list[int] = []
    backlog = Backlog(done.append, 10 * RUSH)
    for _ in range(3):
        for number in range(RUSH + 1):
            backlog.put((number,))
        backlog.take_turn()
        assert done == []
    backlog.take_turn()
    assert done == list(range(SLICE))


def test_the_thread_works_also_in_a_rush_when_half_of_what_fits_is_there() -> None:
    done: list[int] = []
    backlog = Backlog(done.append, 2 * RUSH)
    for number in range(RUSH + 1):
        backlog.put((number,))
    backlog.take_turn()
    assert done == list(range(SLICE))


def test_work_that_fails_ends_nothing() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        done.append(1 // number)

    backlog = Backlog(work, 10)
    with backlog.open():
        backlog.put((0,))
        backlog.put((1,))
    assert done == [1]
