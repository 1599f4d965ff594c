"""Converts an official HRM or TRM checkpoint (.pt) to safetensors for `hrm import`.

    pip install torch safetensors
    python convert_pt.py checkpoint.pt weights.safetensors
    hrm import weights.safetensors --run my_run --preset hrm-27m --data DATA
"""
import sys

import torch
from safetensors.torch import save_file

if len(sys.argv) != 3:
    sys.exit(__doc__)
state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
state = {name: tensor.contiguous() for name, tensor in state.items()}
save_file(state, sys.argv[2])
print(f"{sys.argv[2]}: {len(state)} tensors")
