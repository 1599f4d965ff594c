"""HRM from Python: the C interface (hrm/c_api.h) over ctypes, with NumPy arrays that are never copied.

    import hrm
    model = hrm.Model("runs/demo-sudoku4")
    print(model.solve("41.2234.3..4..2."))
    refinement = model.refine(model.parse("41.2234.3..4..2."))
    refinement.segment()
    print(refinement.logits().shape, refinement.halting())

The shared library is looked for in $HRM_LIBRARY, beside the installed program, and where the system
has its libraries.
"""
import ctypes
import ctypes.util
import json
import os
import pathlib

import numpy as np

_here = pathlib.Path(__file__).resolve().parents
_places = [os.environ.get("HRM_LIBRARY"), _here[min(3, len(_here) - 1)] / "lib/libhrm.so", ctypes.util.find_library("hrm")]
_found = [str(p) for p in _places if p and (not os.path.isabs(p) or os.path.exists(p))]
if not _found:
    raise ImportError("hrm: no libhrm.so. HINT: `make install`, or set HRM_LIBRARY to its path")
_lib = ctypes.CDLL(_found[0])


class _Fields(ctypes.Structure):
    def __repr__(self):
        return repr({name: getattr(self, name) for name, _ in self._fields_})


class Sizes(_Fields):
    _fields_ = [(n, ctypes.c_int32) for n in "cells vocab positions hidden heads H_layers L_layers updates segments parameters".split()]


class Halting(_Fields):
    _fields_ = [(n, ctypes.c_float) for n in "q_halt q_continue margin residual confidence".split()] + [("repeats", ctypes.c_int32)]


def _declare(result, names):
    for name in names.split():
        getattr(_lib, "hrm_" + name).restype = result


_declare(ctypes.c_char_p, "version error model_updates model_config text wrong training_metrics training_evaluate training_gradients")
_declare(ctypes.c_void_p, "model_open model_parse model_weights refine train training_model")
_declare(None, "model_free refinement_free training_free")
version = _lib.hrm_version().decode()


def _call(name, *arguments):
    """Calls hrm_<name>: strings and objects in, an exception for an error, text out."""
    result = getattr(_lib, "hrm_" + name)(*[a.encode() if isinstance(a, str) else a for a in arguments])
    if result is None or (isinstance(result, int) and result == -1):
        raise RuntimeError(_lib.hrm_error().decode())
    return result.decode() if isinstance(result, bytes) else result


def _tokens(values):
    return np.ascontiguousarray(values, dtype=np.int32)  # the same array if it is one


def make_data(kind, side, count, test, out, seed=0):
    _call("make_data", kind, side, count, test, ctypes.c_uint32(seed), str(out))


class _Owner:
    def __init__(self, handle):
        self._handle = ctypes.c_void_p(handle)

    def __del__(self):
        if getattr(self, "_handle", None):
            getattr(_lib, f"hrm_{self._type}_free")(self._handle)


class Model(_Owner):
    _type = "model"

    def __init__(self, run, checkpoint=None, _handle=None):
        super().__init__(_handle or _call("model_open", str(run), checkpoint))
        self.sizes = Sizes()
        _call("model_sizes", self._handle, ctypes.byref(self.sizes))
        self.config = json.loads(_call("model_config", self._handle))

    def _of_cells(self, values):
        values = _tokens(values)
        if values.size == 0 or values.size % self.sizes.cells:
            raise ValueError(f"hrm: a puzzle has {self.sizes.cells} tokens, got an array of {values.shape}")
        return values

    def parse(self, text):
        tokens = np.empty(self.sizes.cells, np.int32)
        _call("parse", self._handle, text, tokens.ctypes)
        return tokens

    def text(self, tokens):
        return _call("text", self._handle, self._of_cells(tokens).ctypes)

    def wrong(self, puzzle, answer):
        """What is wrong with an answer by the rules; "" if it is right."""
        return _call("wrong", self._handle, self._of_cells(puzzle).ctypes, self._of_cells(answer).ctypes)

    def refine(self, puzzles, noise=0.0, seed=0):
        return Refinement(self, self._of_cells(puzzles), noise, seed)

    def solve(self, text, segments=None):
        refinement = self.refine(self.parse(text))
        for _ in range(segments or self.sizes.segments):
            refinement.segment()
        return self.text(refinement.answers()[0])


class Refinement(_Owner):
    """Puzzles on the way to their answers. Arrays begin with a dimension for the puzzle."""

    _type = "refinement"

    def __init__(self, model, puzzles, noise, seed):
        self.model, self.count = model, puzzles.size // model.sizes.cells
        super().__init__(_call("refine", model._handle, puzzles.ctypes, self.count, ctypes.c_double(noise), ctypes.c_uint32(seed)))

    def _array(self, name, shape, *arguments, dtype=np.float32):
        array = np.empty((self.count, *shape), dtype)
        _call(name, self._handle, *arguments, array.ctypes)
        return array

    def update(self):
        return chr(_call("update", self._handle))

    def segment(self):
        _call("segment", self._handle)

    def answers(self):
        return self._array("answers", (self.model.sizes.cells,), dtype=np.int32)

    def logits(self):
        return self._array("logits", (self.model.sizes.cells, self.model.sizes.vocab))

    def state(self, which):
        return self._array("state", (self.model.sizes.positions, self.model.sizes.hidden), ctypes.c_char(which.encode()))

    def attention(self, level):
        s = self.model.sizes
        layers = s.H_layers if level == "H" else s.L_layers
        return self._array("attention", (layers, s.heads, s.positions, s.positions), ctypes.c_char(level.encode()))

    def halting(self):
        values = (Halting * self.count)()
        _call("halting_values", self._handle, values)
        return list(values)


class Training(_Owner):
    _type = "training"

    def __init__(self, data, preset="sudoku4", **settings):
        text = " ".join(f"{name}={value}" for name, value in settings.items())
        super().__init__(_call("train", str(data), preset, text))

    def run(self, steps):
        """Takes so many optimizer steps; returns the means over them."""
        _call("training_run", self._handle, steps)
        return json.loads(_call("training_metrics", self._handle))

    def evaluate(self, puzzles=0):
        return json.loads(_call("training_evaluate", self._handle, puzzles))

    def model(self):
        return Model(None, _handle=_call("training_model", self._handle))
