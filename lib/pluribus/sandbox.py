"""A limited child process for work on hostile bytes, cheap enough to use for every picture.

The child runs one named function, bytes to bytes, over and over. Before the first request it gives up what an
attacker who took it over would want: memory beyond a limit, the right to open any file or socket (no file descriptor
above the three it has, and the one it may be handed), to write files and to dump core; and it never had our environment
variables, so no credentials. CPU time is limited per request. When it dies, is killed or hangs, that one request has
no answer, and the next gets a new child.

A child is a fork of a template: a process that imported what the function needs and never saw a request. Importing
costs 0.2 CPU-s, a fork a hundredth of it, and a run starts children for thousands of shops.

Not promised: code that runs inside the child can still make system calls that need no new descriptor; and children of
one template have their memory at the same addresses.
"""

import atexit
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from pluribus.errors import RunError

LENGTH = struct.Struct(">Q")
HANDLE = 3  # the number under which a child has the file that it was handed
ORDER_BYTES = 2**16
#: glibc otherwise gives the memory of each picture back and fetches it again: 830 page faults and a third to a half of
#: the decode time of a 540 x 720 photograph.
MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(2**28), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
#: Arrow's own allocator reserves a gigabyte of the address space that we limit.
MALLOC |= {"ARROW_DEFAULT_MEMORY_POOL": "system"}
#: -I: neither the working directory nor PYTHON* variables choose what is imported; -S: no .pth file is run.
START = """
import os, sys
sys.path[:] = sys.argv[1].split(os.pathsep)
from pluribus.sandbox import stand_by
stand_by(*sys.argv[2:])
"""


class Sandbox:
    """One child, started by its first request; for one thread at a time."""

    def __init__(
        self,
        function: str,
        options: dict[str, Any],
        *,
        memory_bytes: int = 2**30,
        cpu_s: int = 10,
        timeout_s: float = 60.0,
        most_bytes: int = 2**26,
        handle: int | None = None,
    ) -> None:
        """`function` is "module:name", called as `name(request, **options)`.

        memory_bytes  address space the child may take beyond what it has when ready
        cpu_s         CPU-seconds per request
        timeout_s     seconds per request, by the clock of the parent
        most_bytes    of an answer
        handle        an open file that the child gets as its descriptor HANDLE
        """
        self._handles = [] if handle is None else [handle]
        self._function = function
        self._order: dict[str, Any] = {"options": options, "memory_bytes": memory_bytes, "cpu_s": cpu_s}
        self._timeout_s, self._most_bytes = timeout_s, most_bytes
        self._template: _Template | None = None
        self._pid = 0
        self._link: socket.socket | None = None

    def call(self, request: bytes) -> bytes | None:
        """The function's answer; None when the child died over it (crashed, was killed, hung, ran out of limits).

        Raises RunError when no child can be started at all.
        """
        link = self._link or self._start()
        try:
            _send(link, request, self._timeout_s)
            return _receive(link, self._timeout_s, self._most_bytes)
        except OSError:
            self.close()
            return None

    def close(self) -> None:
        """End the child; a later call starts another."""
        if self._link is not None:
            self._link.close()
        if self._template is not None:
            self._template.end(self._pid)
        self._template = self._link = None

    def _start(self) -> socket.socket:
        self._link, theirs = socket.socketpair()
        try:
            with theirs:
                self._template = _template(self._function, self._order["options"])
                self._pid = self._template.child(self._order, [theirs.fileno(), *self._handles])
            complaint = _receive(self._link, self._timeout_s, self._most_bytes).decode()
        except OSError as error:
            complaint = str(error)
        if complaint:
            self.close()
            raise RunError(f"no child process for {self._function}: {complaint}", do="run `pluribus doctor`")
        return self._link


class _Template:
    """The process whose forks are our children of one function; it also ends them, so that no pid can be mistaken."""

    def __init__(self, function: str, options: dict[str, Any]) -> None:
        self._turn = threading.Lock()
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and code
                [sys.executable, "-I", "-S", "-c", START, _import_path(), function, json.dumps(options)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=MALLOC | {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH") if name in os.environ},
            )
        self._link.settimeout(60.0)
        complaint = self._link.recv(ORDER_BYTES).decode() or "it died"
        if complaint != "ready":
            self.close()
            raise OSError(complaint)
        atexit.register(self.close)

    def child(self, order: dict[str, Any], handles: list[int]) -> int:
        """Fork a child that answers on the first of `handles`; returns its pid. Raises OSError."""
        return self._told(order, handles)

    def end(self, pid: int) -> None:
        """Kill a child, if it still lives, and forget it."""
        with suppress(OSError):  # the template is gone, and with it its children's only friend: they read an end
            self._told({"end": pid}, [])

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._link.close()
        self._process.kill()
        self._process.wait()

    def _told(self, order: dict[str, Any], handles: list[int]) -> int:
        with self._turn:
            try:
                socket.send_fds(self._link, [json.dumps(order).encode()], handles)
                return int(self._link.recv(ORDER_BYTES))
            except (OSError, ValueError) as error:  # an answer that came late would be taken for the next one's
                self.close()
                raise ConnectionResetError("the template is gone") from error


_templates: dict[tuple[int, str, str], _Template] = {}
_making = threading.Lock()


def _template(function: str, options: dict[str, Any]) -> _Template:
    """The template of a function in this process; `options` are for its rehearsal."""
    name = (os.getpid(), function, _import_path())
    with _making:
        if name not in _templates or not _templates[name].alive():
            _templates[name] = _Template(function, options)
        return _templates[name]


def stand_by(function: str, options: str) -> None:
    """The template's whole life: load what is loaded on demand, then fork children until the parent goes."""
    link = socket.socket(fileno=0)
    try:
        module, name = function.split(":")
        answer: Callable[..., bytes] = getattr(import_module(module), name)
        answer(b"", **json.loads(options))
    except Exception as error:  # noqa: BLE001  whatever it is, the parent must hear it
        link.send(f"{type(error).__name__}: {error}".encode()[: ORDER_BYTES // 2])
        return
    link.send(b"ready")
    while True:
        said, handles, *_ = socket.recv_fds(link, ORDER_BYTES, 2)
        if not said:
            return
        order = json.loads(said)
        if "end" in order:
            os.kill(order["end"], signal.SIGKILL)  # ours, and not yet waited for: nobody else can have this pid
            pid, _ = os.waitpid(order["end"], 0)
        else:
            pid = os.fork()
        if pid == 0:
            try:
                serve(answer, handles, **order)
            finally:
                os._exit(1)
        for handle in handles:
            os.close(handle)
        link.send(str(pid).encode())


def serve(
    answer: Callable[..., bytes], handles: list[int], options: dict[str, Any], memory_bytes: int, cpu_s: int
) -> None:
    """The child's whole life: get ready, give up rights, answer until the parent goes."""
    for handle, number in zip(handles, (0, HANDLE), strict=False):
        if handle != number:
            os.dup2(handle, number)  # 0 was the template's own
            os.close(handle)
    link = socket.socket(fileno=0)
    ready: Callable[[bytes], bytes] = partial(answer, **options)
    try:
        ready(b"")
        _limit(memory_bytes)
    except Exception as error:  # noqa: BLE001  whatever it is, the parent must hear it
        _send(link, f"{type(error).__name__}: {error}".encode(), None)
        return
    _send(link, b"", None)
    while True:
        try:
            request = _receive(link, None, sys.maxsize)
        except OSError:
            return
        used_s = time.process_time()
        _, most_s = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (_within(int(used_s) + 1 + cpu_s, most_s), most_s))
        _send(link, ready(request), None)


def _limit(memory_bytes: int) -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    ours = pages * resource.getpagesize() + memory_bytes
    limits = {resource.RLIMIT_AS: ours, resource.RLIMIT_NOFILE: 3, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    for kind, wanted in limits.items():
        most = _within(wanted, resource.getrlimit(kind)[1])
        resource.setrlimit(kind, (most, most))


def _within(wanted: int, most: int) -> int:
    """The limit that is wanted, or the stricter one that we live under already and may not raise."""
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most)


def _import_path() -> str:
    """This package, then where the parent finds its libraries; never the working directory."""
    package = Path(__file__).resolve().parents[1]
    return os.pathsep.join(dict.fromkeys([str(package), *(entry for entry in sys.path if Path(entry).is_absolute())]))


def _send(link: socket.socket, message: bytes, timeout_s: float | None) -> None:
    link.settimeout(timeout_s)
    link.sendall(LENGTH.pack(len(message)) + message)


def _receive(link: socket.socket, timeout_s: float | None, most_bytes: int) -> bytes:
    """One message; OSError when the other side is gone, too slow or says more than `most_bytes`."""
    until = None if timeout_s is None else time.monotonic() + timeout_s
    (length,) = LENGTH.unpack(_exactly(link, LENGTH.size, until))
    if length > most_bytes:
        raise OSError(f"an answer of {length} bytes")
    return bytes(_exactly(link, length, until))


def _exactly(link: socket.socket, size: int, until: float | None) -> bytearray:
    message = bytearray(size)
    view, have = memoryview(message), 0
    while have < size:
        link.settimeout(None if until is None else max(0.001, until - time.monotonic()))
        got = link.recv_into(view[have:])
        if got == 0:
            raise ConnectionResetError("the other side is gone")
        have += got
    return message
