"""Files as torch.save writes them, put together by hand."""

import io
import pickle
import zipfile

import numpy as np

STORAGES = {
    "f8": "Double",
    "f4": "Float",
    "f2": "Half",
    "i8": "Long",
    "i4": "Int",
    "u1": "Byte",
    "b1": "Bool",
}


class Global:
    """Pickled as the name of something in a module."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Storage:
    def __init__(self, key, kind, size):
        self.key, self.kind, self.size = key, kind, size


class Pickler(pickle._Pickler):
    """Writes names and calls that need not exist."""

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return ("storage", Global("torch", obj.kind), obj.key, "cpu", obj.size)
        return None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


class TorchFile:
    """A file in the making: tensors become storages and calls."""

    def __init__(self):
        self.storages = []

    def tensor(self, array, kind=None, data=None, strides=None):
        array = np.asarray(array)
        kind = kind or STORAGES[array.dtype.str[1:]] + "Storage"
        self.storages.append(array.tobytes() if data is None else data)
        storage = Storage(str(len(self.storages) - 1), kind, array.size)
        if strides is None:
            strides = tuple(np.cumprod([1, *array.shape[:0:-1]])[::-1].tolist()) if array.ndim else ()
        hooks = Call(Global("collections", "OrderedDict"))
        rebuild = Global("torch._utils", "_rebuild_tensor_v2")
        return Call(rebuild, storage, 0, array.shape, strides, False, hooks)

    def write(self, path, content, compression=zipfile.ZIP_STORED, order=b"little", protocol=2, pickled=None):
        stream = io.BytesIO()
        Pickler(stream, protocol).dump(content)
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("archive/data.pkl", stream.getvalue() if pickled is None else pickled)
            archive.writestr("archive/byteorder", order)
            for key, data in enumerate(self.storages):
                archive.writestr(f"archive/data/{key}", data)
            archive.writestr("archive/version", b"3\n")
        return str(path)
