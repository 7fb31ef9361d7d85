"""The engine's processes of a worker: one for each song that is separated at the same time."""

from __future__ import annotations

from collections.abc import Callable
from queue import LifoQueue

from aistemsplitter_server.worker.engine import Engine, Failed, Result
from aistemsplitter_server.worker.separating import Task

SONGS_ON_GPU = 2
CORES_FOR_SEVERAL = 4


class Engines:
    """Processes of the engine, each of which separates one song at a time.

    Each song has a process of its own, rather than a thread in a process that it shares with
    others. So a process that dies, hangs or runs out of memory affects a single song, and the audio
    of two customers is never in the same memory at the same time. Each process is confined like a
    worker's only one. The price is memory, since each process loads its own networks.

    Attributes:
        device: What they separate on, such as "cpu", once the first one has started.

    Args:
        songs: Songs to separate at the same time; None for a default that suits this machine.
        new: Returns another engine, whose process need not run yet.
    """

    def __init__(self, songs: int | None, new: Callable[[], Engine]) -> None:
        self._songs = songs
        self._new = new
        self.device = ""
        self._all: list[Engine] = []
        self._idle: LifoQueue[Engine] = LifoQueue()  # the one with loaded models first
        self._outdated: set[Engine] = set()  # to be restarted before their next song

    def start(self) -> int:
        """Start the first process; return how many songs are separated at the same time.

        The other processes start when they are first needed.

        Raises:
            Failed: The process cannot start; the text says why.
        """
        first = self._new()
        first.start()
        from aistemsplitter_engine.resources import cpu_count  # it is installed, as this shows

        self.device = first.device
        songs = self._songs or default_songs(first.device, cpu_count())
        self._all = [*(self._new() for _ in range(songs - 1)), first]
        for engine in self._all:
            self._idle.put(engine)
        return songs

    def separate(
        self, task: Task, on_progress: Callable[[float], None], stop: Callable[[], bool]
    ) -> Result:
        """Separate a song in the next free process; see :meth:`Engine.separate`."""
        engine = self._idle.get()
        try:
            if engine in self._outdated:
                self._outdated.discard(engine)
                engine.kill()
            return engine.separate(task, on_progress, stop)
        except Failed as error:
            if error.code == "MODEL_UNAVAILABLE":
                # Like the one that failed, which has ended, they may not read folders that did not
                # exist when they started.
                self._outdated.update(other for other in self._all if other is not engine)
            raise
        finally:
            self._idle.put(engine)

    def kill(self) -> None:
        """Kill all processes."""
        for engine in self._all:
            engine.kill()


def default_songs(device: str, cores: int) -> int:
    """Return how many songs to separate at the same time on a device.

    On a CPU one song keeps all cores busy: a second one gains little, and takes as much memory
    again. A GPU would wait while a song is fetched, decoded, encoded or stored, for which a second
    song needs cores of its own.
    """
    return SONGS_ON_GPU if device != "cpu" and cores >= CORES_FOR_SEVERAL else 1
