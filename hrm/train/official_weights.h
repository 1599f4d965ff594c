// Weights that the official code or another program has saved, under our names.
//
//     const NamedTensors weights = read_official_weights("checkpoint.pt");
//     model.load_state_dict(weights, kOfficialPrefix);
#pragma once

#include "tensor/io.h"

namespace hrm {

// The weights in a safetensors file or in a checkpoint of PyTorch (tensor/pytorch_file.h); the
// first bytes tell which it is. "-" is the standard input, as in read_input. Errors name the file.
NamedTensors read_official_weights(const Path& file);

// The tensors of the one model among those of a checkpoint, whose names are paths, as
// "state_dict.model.inner...." in {"state_dict": model.state_dict(), "optimizer": ...}: without
// that path, without "_orig_mod." (torch.compile), and without all that is not the model. An Error
// if there are two models. Without any, all tensors, as they are named. `file`: for errors.
NamedTensors model_of_checkpoint(const NamedTensors& tensors, const std::string& file);

}  // namespace hrm
