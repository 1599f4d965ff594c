"""Writes checkpoints as torch.save does, with nothing but the standard library.

    python3 tests/support/torch_file.py weights.safetensors checkpoint.pt [KEY...]
    python3 tests/support/torch_file.py --fixture tests/fixtures/pytorch/official.pt

The first makes a state_dict of a safetensors file; with one KEY or more, the checkpoint
{KEY: state_dict, ..., "optimizer": ..., "step": 7}. The second makes the fixture of
tests/test_pytorch_file.cpp. Python's own pickler emits the opcodes; only the classes of PyTorch that
a checkpoint names are stand-ins.
"""
import collections
import io
import json
import pickle
import struct
import sys
import types
import zipfile


def stand_in(module, name):
    """A class, or a function that is never called, which pickles as module.name."""
    for i in range(len(module.split("."))):
        part = ".".join(module.split(".")[: i + 1])
        sys.modules.setdefault(part, types.ModuleType(part))
    thing = type(name, (), {"__module__": module})
    setattr(sys.modules[module], name, thing)
    return thing


STORAGES = {
    "F32": ("f", stand_in("torch", "FloatStorage")),
    "F64": ("d", stand_in("torch", "DoubleStorage")),
    "F16": ("e", stand_in("torch", "HalfStorage")),
    "BF16": ("H", stand_in("torch", "BFloat16Storage")),
    "I64": ("q", stand_in("torch", "LongStorage")),
    "I32": ("i", stand_in("torch", "IntStorage")),
    "U8": ("B", stand_in("torch", "ByteStorage")),
    "BOOL": ("?", stand_in("torch", "BoolStorage")),
}
rebuild_tensor = stand_in("torch._utils", "_rebuild_tensor_v2")
rebuild_parameter = stand_in("torch._utils", "_rebuild_parameter")


class Storage:
    def __init__(self, dtype, data):
        self.letter, self.kind = STORAGES[dtype]
        self.data = data
        self.count = len(data) // struct.calcsize("<" + self.letter)


class Tensor:
    def __init__(self, storage, sizes, strides=None, offset=0):
        if strides is None:
            strides, step = [], 1
            for size in reversed(sizes):
                strides.insert(0, step)
                step *= size
        self.parts = (storage, offset, tuple(sizes), tuple(strides), False, collections.OrderedDict())

    def __reduce__(self):
        return rebuild_tensor, self.parts


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return rebuild_parameter, (self.tensor, True, collections.OrderedDict())


def of_values(dtype, values, sizes, strides=None, offset=0):
    letter = STORAGES[dtype][0]
    data = struct.pack(f"<{len(values)}{letter}", *values)
    return Tensor(Storage(dtype, data), sizes, strides, offset)


class Stream(io.RawIOBase):
    """A file without seek: zipfile writes sizes behind the data, as PyTorch does."""

    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)


def save(thing, path, protocol=2):
    keys, storages = {}, []

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if not isinstance(item, Storage):
                return None
            if id(item) not in keys:
                keys[id(item)] = str(len(storages))
                storages.append(item)
            return ("storage", item.kind, keys[id(item)], "cpu", item.count)

    text = io.BytesIO()
    Pickler(text, protocol).dump(thing)
    with open(path, "wb") as file, zipfile.ZipFile(Stream(file), "w", zipfile.ZIP_STORED) as archive:
        def entry(name, data):
            info = zipfile.ZipInfo("archive/" + name)
            fill = -(file.tell() + 30 + len(info.filename) + 4) % 64  # data starts at such a multiple
            info.extra = b"FB" + struct.pack("<H", fill) + b"Z" * fill
            archive.writestr(info, data)

        entry("data.pkl", text.getvalue())
        entry("byteorder", b"little")
        for i, storage in enumerate(storages):
            entry(f"data/{i}", storage.data)
        entry("version", b"3\n")


def state_dict(items):
    state = collections.OrderedDict(items)
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    return state


def read_safetensors(path):
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    return state_dict(
        (name, Tensor(Storage(t["dtype"], data[slice(*t["data_offsets"])]), t["shape"]))
        for name, t in header.items()
    )


def fixture():
    weights = of_values("F32", [0.5 * i for i in range(12)], [3, 4])
    turned = Tensor(weights.parts[0], [4, 2], [1, 4], offset=4)  # rows 1 and 2, transposed
    return state_dict([
        ("_orig_mod.model.inner.H_init", of_values("BF16", [0x3F80, 0xC000], [2])),
        ("_orig_mod.model.inner.L_init", of_values("F16", [1.5, -0.25], [2])),
        ("_orig_mod.model.inner.lm_head.weight", weights),
        ("_orig_mod.model.inner.q_head.weight", turned),
        ("_orig_mod.model.inner.q_head.bias", Parameter(of_values("F64", [-5.0, -5.0], [2]))),
        ("_orig_mod.model.inner.puzzle_emb.local_ids", of_values("I64", [3, 1, 2], [3])),
    ])


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--fixture":
        save(fixture(), sys.argv[2])
    elif len(sys.argv) == 3:
        save(read_safetensors(sys.argv[1]), sys.argv[2])
    elif len(sys.argv) >= 4:
        moments = {0: {"step": 7.0, "exp_avg": of_values("F32", [0.0] * 4, [4])}}
        whole = {key: read_safetensors(sys.argv[1]) for key in sys.argv[3:]}
        whole.update(step=7, losses=[0.5, 0.25],
                     optimizer={"state": moments, "param_groups": [{"lr": 1e-4, "params": [0]}]})
        save(whole, sys.argv[2], protocol=4)
    else:
        sys.exit(__doc__)
