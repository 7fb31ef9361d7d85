"""Reader of the pickle in a PyTorch file, which runs none of the code that a pickle can name.

Our own rather than a ``pickle.Unpickler`` with an allowlisting ``find_class``, which was tried: a
deeply nested dictionary key crashes it, whatever it allows (a test shows this), and seven bytes
make it allocate gigabytes for its memo. Its Python version, ``pickle._Unpickler``, is private.

A pickle is a program for a small stack machine. :mod:`pickletools` splits it into opcodes, and
``_OPCODES`` has the few that plain data, tensors and the name of a class need. All others are
refused by name, and so are all globals that :mod:`.pickle_globals` does not list.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sequence
from typing import Any

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.messages import excerpt
from aistemsplitter_engine.weights.pickle_globals import (
    call,
    check_state,
    find_global,
    find_storage,
)

LARGEST_PICKLE = 4 << 20  # bytes; htdemucs has 47 kB, a RoFormer of 53 stems 1.7 MB


def read_pickle(data: bytes) -> Any:
    """Return the pickle's value: plain Python values, ``Global`` and ``StoredTensor``.

    Raises:
        ModelError: It is damaged, or uses more than checkpoints need.
    """
    if len(data) > LARGEST_PICKLE:
        raise ModelError(f"its pickle has {len(data)} bytes, more than any checkpoint needs")
    try:
        return _Machine().run(data)
    # pickletools warns of a backslash in a name, and warnings may be errors.
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, Warning) as error:
        raise ModelError(f"its pickle is damaged ({excerpt(error)})") from None


class _Machine:
    """The stack machine that executes a pickle.

    Each open MARK has a stack of its own, so that no opcode reaches below its mark.
    """

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._stacks_below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):  # up to STOP
            operation = _OPCODES.get(opcode.name)
            if operation is None:
                raise ModelError(
                    f"its pickle uses the opcode {opcode.name}, which no checkpoint needs"
                )
            operation(self, argument)
        return self._stack.pop()

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self, count: int) -> tuple[Any, ...]:
        if len(self._stack) < count:
            raise ValueError("the stack is too short")
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        return items

    def mark(self) -> None:
        self._stacks_below.append(self._stack)
        self._stack = []

    def pop_to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._stacks_below.pop()
        return items

    def memoize(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def push_memoized(self, index: int) -> None:
        self.push(self._memo[index])

    def append(self, items: Sequence[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise TypeError("items of something that is not a list")
        self._stack[-1].extend(items)

    def set_items(self, items: Sequence[Any]) -> None:
        keys, values = items[::2], items[1::2]
        if type(self._stack[-1]) is not dict:
            raise TypeError("keys of something that is not a dictionary")
        for key in keys:
            # Hashing a deeply nested tuple overflows the C stack; long integers can all collide.
            if not isinstance(key, str | float | None) and not _is_short_integer(key):
                raise TypeError("a dictionary key that is not a plain value")
        self._stack[-1].update(zip(keys, values, strict=True))

    def build(self) -> None:
        (state,) = self.pop(1)
        check_state(self._stack[-1], state)


def _is_short_integer(value: Any) -> bool:
    return isinstance(value, int) and value.bit_length() < 64


def _ignore(_machine: _Machine, _argument: Any) -> None:
    pass


_Operation = Callable[[_Machine, Any], None]
_OPCODES: dict[str, _Operation] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _ignore),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _Machine.push),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _Machine.push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES"), _Machine.push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.memoize),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.push_memoized),
    "MARK": lambda machine, _: machine.mark(),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE1": lambda machine, _: machine.push(machine.pop(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.pop(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.pop(3)),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "APPEND": lambda machine, _: machine.append(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "GLOBAL": lambda machine, name: machine.push(find_global(*name.split(" ", 1))),
    "STACK_GLOBAL": lambda machine, _: machine.push(find_global(*machine.pop(2))),
    "BINPERSID": lambda machine, _: machine.push(find_storage(*machine.pop(1))),
    "REDUCE": lambda machine, _: machine.push(call(*machine.pop(2))),
    "BUILD": lambda machine, _: machine.build(),
}
