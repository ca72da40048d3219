"""Files of torch.save, read without PyTorch and without running anything that they say.

Such a file is a zip archive: `data.pkl` is a pickle of the object, and `data/0`, `data/1`, ... are the
bytes of its tensors, uncompressed. A pickle is a program for a small stack machine, and unpickling obeys
it. Here a machine that knows only what tensors in dictionaries need steps through it: no attribute is
looked up, nothing is imported, and the few functions a pickle may call are the constants of this file.
Everything else is refused by name, as PyTorch does with weights_only=True.
"""

from __future__ import annotations

import math
import os
import pickletools
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import ConversionError

_MAX_PICKLE_BYTES = 64 << 20
_MAX_FILE_BYTES = 4 << 30
_MARK = object()

#: Names of storage classes: what numbers they hold. bfloat16 has no dtype in NumPy and is widened when read.
_STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class _Storage:
    """A flat run of numbers in the archive. Tensors are views of it, so repeating them costs no memory."""

    def __init__(self, kind: str, size: int, values: np.ndarray):
        self.kind = kind
        self.size = size
        self.values = values


class _StorageKind:
    """Stands for a storage class, which a pickle only names."""

    def __init__(self, name: str):
        self.name = name


def read(path: str) -> Any:
    """Read what torch.save has written.

    Tensors become arrays; parameters become their tensors. bfloat16 is widened to float32.

    Parameters
    ----------
    path : str
        the file

    Raises
    ------
    ConversionError
        if it is no such file, it is damaged, or its pickle needs more than tensors, numbers, strings and
        containers
    """
    origin = os.path.basename(path)
    if not os.path.isfile(path):
        raise ConversionError(f"{path}: there is no such file")
    if not zipfile.is_zipfile(path):
        raise ConversionError(
            f"{origin} is no zip archive as PyTorch 1.6 and later write it; if an older one wrote it, load "
            "and save it again"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _Machine(_Archive(archive, origin)).run()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ConversionError(f"{origin} is damaged: {error}") from None


class _Archive:
    """The entries of the zip archive. None is compressed, so all together are no larger than the file."""

    def __init__(self, archive: zipfile.ZipFile, origin: str):
        self._archive = archive
        self.origin = origin
        self._storages: dict[str, _Storage] = {}
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ConversionError(f"{origin} has compressed entries, which PyTorch never writes")
        if os.fstat(archive.fp.fileno()).st_size > _MAX_FILE_BYTES:
            raise ConversionError(f"{origin} has more than 4 GiB, too much for a model")
        if sum(e.file_size for e in entries) > os.fstat(archive.fp.fileno()).st_size:
            raise ConversionError(f"{origin} is damaged: its entries are larger than the file")
        if len({entry.filename for entry in entries}) != len(entries):
            raise ConversionError(f"{origin} has two entries of the same name")
        pickles = [e.filename for e in entries if e.filename.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise ConversionError(f"{origin} was not written by torch.save, it has no data.pkl")
        self._root = pickles[0].removesuffix("data.pkl")
        self._names = {entry.filename: entry.file_size for entry in entries}
        if self._names.get(self._root + "byteorder", 0) > 16:
            raise ConversionError(f"{origin} has an unknown byte order")
        order = self._read("byteorder") if self._root + "byteorder" in self._names else b"little"
        if order.strip() != b"little":
            raise ConversionError(f"{origin} has the byte order {order!r}, expected little")

    def _read(self, name: str) -> bytes:
        return self._archive.read(self._root + name)

    def pickle(self) -> bytes:
        if self._names[self._root + "data.pkl"] > _MAX_PICKLE_BYTES:
            raise ConversionError(f"{self.origin} has a pickle of more than 64 MiB")
        return self._read("data.pkl")

    def storage(self, kind: str, key: str, size: int) -> _Storage:
        """Return a storage, which several tensors may share."""
        name = "data/" + key
        if key not in self._storages:
            if self._root + name not in self._names:
                raise ConversionError(f"{self.origin} lacks the entry {name!r:.60} of a tensor")
            dtype = _STORAGES[kind]
            if self._names[self._root + name] != size * dtype.itemsize:
                raise ConversionError(
                    f"{self.origin}: entry {name!r} has {self._names[self._root + name]} bytes, expected "
                    f"{size} numbers of {dtype.itemsize}"
                )
            self._storages[key] = _Storage(kind, size, _numbers(kind, self._read(name)))
        found = self._storages[key]
        if found.kind != kind or found.size != size:
            raise ConversionError(f"{self.origin}: entry {name!r} is used as two kinds of numbers")
        return found


class _Machine:
    """The stack machine. Containers are Python's own, so the worst a pickle can do is to be refused."""

    def __init__(self, archive: _Archive):
        self._archive = archive
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def _fail(self, what: str):
        raise ConversionError(f"{self._archive.origin} is refused: {what}")

    def run(self) -> Any:
        try:
            for opcode, argument, _ in pickletools.genops(self._archive.pickle()):
                if opcode.name == "STOP":
                    break
                self._step(opcode.name, argument)
            result = self._stack.pop()
        except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ConversionError):
                raise
            self._fail(f"its pickle is damaged ({error})")
        if self._stack:
            self._fail("its pickle is damaged (it leaves more than one object)")
        return result

    def _step(self, name: str, argument: Any) -> None:
        if name in _IGNORED:
            return
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        else:
            self._fail(f"its pickle uses the instruction {name}")

    def _marked(self) -> list[Any]:
        """Pop everything down to the last mark."""
        items: list[Any] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _tuple(self, size: int | None) -> None:
        items = self._marked() if size is None else [self._stack.pop() for _ in range(size)][::-1]
        if any(item is _MARK for item in items):
            raise ValueError("a mark inside a tuple")
        self._stack.append(tuple(items))

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise ValueError("an element for something that is no list")
        target.extend(items)

    def _setItems(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict:
            raise ValueError("an entry for something that is no dictionary")
        if len(items) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # The hash of nested tuples can take for ever, and no checkpoint needs them as keys.
            if not isinstance(key, (str, int, float, bool, type(None))):
                self._fail("a dictionary has keys that are neither strings nor numbers")
            target[key] = value

    def _addItems(self, _: Any) -> None:
        items = self._marked()
        if type(self._stack[-1]) is not set:
            raise ValueError("an element for something that is no set")
        if not all(isinstance(item, (str, int, float, bool)) for item in items):
            self._fail("a set holds something else than strings and numbers")
        self._stack[-1].update(items)

    def _build(self, _: Any) -> None:
        """Set the state of an object. Ordered dictionaries have one (`_metadata`), which is dropped."""
        self._stack.pop()
        if type(self._stack[-1]) is not dict:
            self._fail("its pickle sets the attributes of an object")

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(self._lookUp(module, name))

    def _stackGlobal(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ValueError("a name that is no string")
        self._stack.append(self._lookUp(module, name))

    def _lookUp(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _StorageKind(name)
        if (module, name) not in _CALLABLES:
            self._fail(
                f"its pickle names {module}.{name}"[:160]
                + ", but a checkpoint needs only tensors, numbers, strings and containers"
            )
        return _CALLABLES[module, name]

    def _reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        # The table holds functions of this file only, so being in it is what makes one safe to call.
        if not any(function is known for known in _CALLABLES.values()) or type(arguments) is not tuple:
            self._fail("its pickle calls something that is no function")
        self._stack.append(function(*arguments))

    def _persistentId(self, _: Any) -> None:
        identity = self._stack.pop()
        if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
            raise ValueError("an unknown kind of reference")
        _, kind, key, _, size = identity
        if type(kind) is not _StorageKind or type(key) is not str or type(size) is not int or size < 0:
            raise ValueError("a reference to a storage that makes no sense")
        self._stack.append(self._archive.storage(kind.name, key, size))


def _numbers(kind: str, data: bytes) -> np.ndarray:
    values = np.frombuffer(data, _STORAGES[kind])
    if kind == "BFloat16Storage":
        # bfloat16 is the upper half of a float32.
        values = (values.astype("<u4") << 16).view("<f4")
    return values


def _rebuildTensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> np.ndarray:
    """Return the array that a storage, an offset, sizes and strides (in elements) describe."""
    if type(storage) is not _Storage or type(shape) is not tuple or type(strides) is not tuple:
        raise ValueError("a tensor without storage or shape")
    numbers = [offset, *shape, *strides]
    if any(type(number) is not int or number < 0 for number in numbers) or len(shape) != len(strides):
        raise ValueError("a tensor with a shape that makes no sense")
    if len(shape) > 8:
        raise ValueError("a tensor of more than 8 axes")
    values = storage.values
    if 0 in shape:
        return np.zeros(shape, values.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # A stride of 0 would let a small file describe an enormous tensor.
    if last >= values.size or math.prod(shape) > values.size:
        raise ValueError("a tensor that reaches beyond its storage")
    return np.lib.stride_tricks.as_strided(
        values[offset:], shape, [stride * values.itemsize for stride in strides], writeable=False
    )


def _rebuildParameter(data: Any, *_: Any) -> Any:
    return data


def _orderedDict(*items: Any) -> dict[Any, Any]:
    if items:
        raise ValueError("an ordered dictionary made of something")
    return {}


def _size(shape: Any = ()) -> tuple[Any, ...]:
    if type(shape) is not tuple:
        raise ValueError("a torch.Size of something that is no tuple")
    return shape


def _device(*parts: Any) -> str:
    return ":".join(str(part) for part in parts if isinstance(part, (str, int)))


_CALLABLES: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _orderedDict,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuildTensor,
    ("torch._utils", "_rebuild_parameter"): _rebuildParameter,
}
_IGNORED = {"PROTO", "FRAME"}
_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark,
    "TUPLE": lambda machine, _: machine._tuple(None),
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "BINPUT": _Machine._put,
    "LONG_BINPUT": _Machine._put,
    "MEMOIZE": lambda machine, _: machine._put(len(machine._memo)),
    "BINGET": _Machine._get,
    "LONG_BINGET": _Machine._get,
    "APPEND": lambda machine, _: machine._append([machine._stack.pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._marked()),
    "SETITEM": lambda machine, _: machine._setItems([machine._stack.pop(), machine._stack.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine._setItems(machine._marked()),
    "ADDITEMS": _Machine._addItems,
    "BUILD": _Machine._build,
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stackGlobal,
    "REDUCE": _Machine._reduce,
    "NEWOBJ": _Machine._reduce,
    "BINPERSID": _Machine._persistentId,
}
