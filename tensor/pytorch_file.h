// Checkpoints of PyTorch: the files that torch.save has written since version 1.6, a zip archive
// with a pickle of what was saved (TOP/data.pkl) and the bytes of each storage (TOP/data/0, ...).
// Only tensors are read; no code in a file is ever run, and a file that holds other objects than
// tensors, numbers, texts, lists and dictionaries is refused by the name of the object.
//
// A tensor is called by its path: state["a"]["b.weight"] is "a.b.weight". What is no tensor in a
// dictionary, or in a dictionary within it, is passed over.
//
// What becomes of the types: float32, float64, bfloat16, int32 and uint8 stay; float16 becomes f32;
// int64 becomes i32, with a range check, and so do int16 and int8; bool becomes u8 (0 or 1).
// Complex and quantized tensors, sparse ones and the types of 8-bit floats and of larger unsigned
// numbers are refused. Little-endian files only.
//
// Memory: the file is mapped, and tensors that lie there as they are needed are not copied; they
// share their storage where they did in PyTorch. All others, such as float16 and transposed views,
// are copied, and their bytes in the file must not sum up to more than the file has: views that
// repeat few bytes many times are an Error and no memory is taken. Limits: 6 dimensions, names of
// 1000 bytes, dictionaries 32 levels deep, 100,000 tensors, 2 million values in all dictionaries.
//
// Formats: torch/serialization.py, torch/_utils.py and torch/_weights_only_unpickler.py of PyTorch.
//
//     for (const auto& [name, tensor] : read_pytorch("checkpoint.pt")) show(name, tensor.shape());
#pragma once

#include "tensor/io.h"

namespace hrm {

// Whether a file is for read_pytorch, by its first bytes: a zip archive; also what read_pytorch
// explains: the format before PyTorch 1.6, another pickle, a tar archive. False if it cannot be
// read.
bool is_pytorch_file(const Path& path);
bool is_pytorch_file(std::span<const std::byte> bytes);

NamedTensors read_pytorch(const Path& path);
NamedTensors parse_pytorch(std::span<const std::byte> bytes, const std::string& name);

}  // namespace hrm
