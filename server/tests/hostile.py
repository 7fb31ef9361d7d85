"""A replacement of the engine's package whose decoder attempts forbidden operations.

Code that took over a decoder could do the same. The real child processes import it instead of the
engine.
"""

from __future__ import annotations

from pathlib import Path

import aistemsplitter_engine

PROGRAM = """
import ctypes, errno, fcntl, mmap, os, resource, signal, socket, subprocess, threading
from pathlib import Path

PARENT = os.getppid()
libc = ctypes.CDLL(None, use_errno=True)

def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")

def connect():
    socket.create_connection(("127.0.0.1", {port}), timeout=5)

def send_datagram():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", {port}))

def connect_to_abstract_socket():
    socket.socket(socket.AF_UNIX).connect("\\0" + {abstract!r})

def io_uring():
    checked(libc.syscall(425, 4, ctypes.create_string_buffer(256)))

def read_database():
    Path({database!r}).read_bytes()

def list_data():
    os.listdir(os.path.dirname({database!r}))

def read_secret_of_parent():
    Path(f"/proc/{{PARENT}}/environ").read_bytes()

def find_secret_in_environment():
    if not any("hush" in value for value in os.environ.values()):
        raise OSError("there is none")

def write_outside():
    Path({outside!r}).write_text("x")

def delete_outside():
    Path({database!r}).unlink()

def rename_outside():
    Path({database!r}).rename({outside!r})
    Path({outside!r}).rename({database!r})

def truncate_outside():
    os.truncate({database!r}, 0)

def change_mode_outside():
    os.chmod({database!r}, 0o777)

def execute():
    subprocess.run(["/bin/true"], check=True)

def execute_in_place():
    os.execv("/bin/true", ["true"])

def fork():
    if os.fork() == 0:
        os._exit(0)

def signal_parent():
    os.kill(PARENT, 0)

def signal_parent_by_handle():
    signal.pidfd_send_signal(os.pidfd_open(PARENT), 0)

def have_kernel_signal_parent():
    reading, _ = os.pipe() if {threads} else (0, 0)
    fcntl.fcntl(reading, fcntl.F_SETOWN, PARENT)

def trace_parent():
    checked(libc.ptrace(16, PARENT, 0, 0))

def read_memory_of_parent():
    local = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
    if libc.process_vm_readv(PARENT, local, 1, local, 1, 0) < 0:
        if ctypes.get_errno() != errno.EFAULT:  # it may read, but nothing is at that address
            raise OSError("refused")

def start_thread():
    if {threads}:
        raise OSError("the engine may")
    threading.Thread(target=print).start()

def take_memory():
    mmap.mmap(-1, {memory}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

def raise_limits():
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))

def escape():
    done = []
    for attempt in (
        connect, send_datagram, connect_to_abstract_socket, io_uring,
        read_database, list_data, read_secret_of_parent, find_secret_in_environment,
        write_outside, change_mode_outside, truncate_outside, rename_outside, delete_outside,
        execute, execute_in_place, fork,
        signal_parent, signal_parent_by_handle, have_kernel_signal_parent,
        trace_parent, read_memory_of_parent, start_thread, take_memory, raise_limits,
    ):
        try:
            attempt()
        except (OSError, MemoryError, RuntimeError, ValueError):
            continue
        done.append(attempt.__name__)
    return "it could: " + (", ".join(done) or "nothing")
"""

ENGINE = """
__path__.append({real!r})
__version__ = "hostile"
from aistemsplitter_engine.errors import *
from aistemsplitter_engine.errors import EngineError
from aistemsplitter_engine.escape import escape
class Separator:
    def __init__(self, *_, **__): raise EngineError(escape())
"""

AUDIO = """
from aistemsplitter_engine import AudioError
from aistemsplitter_engine.escape import escape
class AudioFile:
    def __init__(self, *_): raise AudioError(escape())
"""


def write(
    folder: Path, *, database: Path, port: int, abstract: str, threads: bool, memory: int
) -> Path:
    """Write the package; return the folder to import it from.

    Args:
        port: Port on 127.0.0.1 on which a process listens.
        abstract: Name of an abstract socket on which a process listens.
        threads: Whether the process is the engine's, which may start threads.
        memory: Bytes above the process's limit.
    """
    package = folder / "hostile" / "aistemsplitter_engine"
    package.mkdir(parents=True)
    real = str(Path(aistemsplitter_engine.__file__).parent)
    (package / "__init__.py").write_text(ENGINE.format(real=real))
    if not threads:  # the engine process decodes nothing
        (package / "audio").mkdir()
        (package / "audio" / "__init__.py").write_text(AUDIO)
    program = PROGRAM.format(
        port=port,
        abstract=abstract,
        database=str(database),
        outside=str(folder / "outside"),
        threads=threads,
        memory=memory,
    )
    (package / "escape.py").write_text(program)
    return package.parent
