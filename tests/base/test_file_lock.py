"""A file lock excludes others until its file is closed, and looking whether one is held excludes nobody for long."""

import os

from expctl.base.file_lock import is_locked, lock, try_lock


def opened(tmp_path):
    return os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)


def test_one_open_file_has_the_lock_until_it_is_closed(tmp_path):
    first, second = opened(tmp_path), opened(tmp_path)
    lock(first)
    assert not try_lock(second) and is_locked(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)


def test_several_may_look_at_once_and_leave_the_file_free(tmp_path):
    first, second, third = opened(tmp_path), opened(tmp_path), opened(tmp_path)
    assert not is_locked(first) and not is_locked(second)
    os.close(first)
    os.close(second)
    assert try_lock(third)
    os.close(third)
