"""The installed Python module: python_module.py FOLDER PUZZLE, where FOLDER has a run and a data set."""
import sys

import numpy as np

import hrm

folder, puzzle = sys.argv[1:]
model = hrm.Model(folder + "/run")
tokens = model.parse(puzzle)
assert tokens.shape == (16,) and tokens.dtype == np.int32
assert model.text(tokens).replace("0", ".") == puzzle, model.text(tokens)
assert model.sizes.cells == 16 and model.config["task"]["task"] == "sudoku", model.sizes

# Two puzzles side by side give what each gives alone.
both = model.refine(np.stack([tokens, tokens]))
alone = model.refine(tokens)
updates = "".join(both.update() for _ in range(model.sizes.updates))
assert set(updates) == {"L", "H"}, updates
alone.segment()
assert both.logits().shape == (2, 16, model.sizes.vocab)
assert np.allclose(both.logits()[1], alone.logits()[0], atol=1e-5)
assert np.array_equal(both.answers()[0], both.logits()[0].argmax(-1))
assert 0 < both.halting()[0].q_halt < 1
assert both.state("H").shape == (2, model.sizes.positions, model.sizes.hidden)
weights = both.attention("L")
assert np.allclose(weights.sum(-1), 1, atol=1e-5), weights.shape
assert len(model.solve(puzzle)) == 16
assert model.wrong(tokens, tokens) != ""

# An array that is as the library needs it is handed over as it is; another one is converted.
assert hrm._tokens(tokens) is tokens
assert np.array_equal(model.refine(tokens.astype(np.int64)).answers(), model.refine(tokens).answers())

training = hrm.Training(folder + "/data", "sudoku4", hidden_size=32, num_heads=2, H_layers=1, L_layers=1)
assert training.run(2)["step"] == 2
assert 0 <= training.evaluate(5)["exact_accuracy"] <= 1
assert training.model().sizes.hidden == 32

for action, says in [
    (lambda: hrm.Model(folder + "/none"), "none"),
    (lambda: model.parse("12"), "16"),
    (lambda: model.refine(np.zeros(3, np.int32)), "a puzzle has 16 tokens"),
    (lambda: hrm.Training(folder + "/data", "sudoku44"), "did you mean 'sudoku4'"),
]:
    try:
        action()
        assert False, "no error that says " + says
    except (RuntimeError, ValueError) as error:
        assert says in str(error), error
