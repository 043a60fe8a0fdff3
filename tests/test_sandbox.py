"""The limited child: what it may not do, and that one death loses one answer."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pluribus.errors import RunError
from pluribus.sandbox import Sandbox

DEEDS = """
import os, signal, socket, subprocess, sys, time

def deed(request, **options):
    if not request:
        return b""
    try:
        return str(eval(request)).encode()
    except OSError as error:
        return f"{type(error).__name__}: {error.strerror}".encode()

def forever():
    while True:
        pass

def busy(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass

def broken(request, **options):
    raise ValueError("not today")
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A child that does what it is asked to do."""
    (tmp_path / "deeds.py").write_text(DEEDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    with closing(Sandbox("deeds:deed", {}, memory_bytes=2**28, cpu_s=1, timeout_s=20.0, most_bytes=2**22)) as child:
        yield child


def test_one_child_answers_many_requests(child: Sandbox) -> None:
    pids = {child.call(b"os.getpid()") for _ in range(50)}
    assert len(pids) == 1 and pids != {str(os.getpid()).encode()}
    assert child.call(b"len(request)" + b" " * 10**6) == b"1000012"
    assert child.call(b"'x' * 10**6") == b"x" * 10**6


@pytest.mark.parametrize(
    "deed",
    [
        b"os.kill(os.getpid(), signal.SIGKILL)", b"os.kill(os.getpid(), signal.SIGSEGV)", b"os._exit(0)", b"sys.exit()",
        b"1 / 0", b"len(bytearray(2**29))", b"forever()", b"'x' * 2**23", b"os.write(0, b'x' * 99)",
        b"socket.socket(fileno=0).close()",
    ],
)  # fmt: skip
def test_a_death_loses_one_answer(child: Sandbox, deed: bytes) -> None:
    before = child.call(b"os.getpid()")
    assert child.call(deed) is None
    after = child.call(b"os.getpid()")
    assert after not in (None, before)


def test_no_child_knows_what_another_was_asked(child: Sandbox) -> None:
    assert child.call(b"sys.modules.setdefault('secret', request) and 'kept'") == b"kept"
    with closing(Sandbox("deeds:deed", {})) as other:
        assert other.call(b"'secret' in sys.modules") == b"False"
    assert child.call(b"'secret' in sys.modules") == b"True"


def test_a_child_killed_from_outside(child: Sandbox) -> None:
    pid = child.call(b"os.getpid()")
    assert pid is not None
    os.kill(int(pid), signal.SIGKILL)
    assert child.call(b"1") is None
    assert child.call(b"2") == b"2"


def test_a_template_that_died_is_replaced(child: Sandbox) -> None:
    assert child.call(b"os.kill(os.getppid(), signal.SIGKILL)") == b"None"
    assert child.call(b"1") == b"1"  # it lives on by itself
    child.close()
    assert child.call(b"2") == b"2"


def test_a_child_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deeds.py").write_text(DEEDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    with closing(Sandbox("deeds:deed", {}, timeout_s=1.0)) as child:
        assert child.call(b"time.sleep(600)") is None
        assert child.call(b"1") == b"1"


@pytest.mark.parametrize(
    ("deed", "answer"),
    [
        (b"open('/etc/passwd')", b"OSError: Too many open files"),
        (b"open('/tmp/pluribus-test', 'w')", b"OSError: Too many open files"),
        (b"socket.socket()", b"OSError: Too many open files"),
        (b"subprocess.Popen(['true'])", b"OSError: Too many open files"),
        (b"os.listdir('/')", b"OSError: Too many open files"),
        (b"os.environ.get('AWS_SECRET_ACCESS_KEY')", b"None"),
        (b"[n for n in os.environ if n[:3] not in ('MAL', 'ARR', 'PAT', 'LD_', 'LC_')]", b"[]"),
    ],
)
def test_what_a_child_has_given_up(child: Sandbox, deed: bytes, answer: bytes) -> None:
    assert child.call(deed) == answer


def test_cpu_time_is_limited_per_request_not_per_life(child: Sandbox) -> None:
    pids = set()
    for _ in range(6):
        assert child.call(b"busy(0.4)") == b"None"
        pids.add(child.call(b"os.getpid()"))
    assert len(pids) == 1


def test_a_child_that_cannot_start_stops_the_run(child: Sandbox) -> None:
    for function, complaint in [("nowhere:deed", "ModuleNotFoundError"), ("deeds:broken", "not today")]:
        with closing(Sandbox(function, {})) as other, pytest.raises(RunError, match=complaint):
            other.call(b"1")
