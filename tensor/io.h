// Files of tensors: safetensors (Hugging Face) and npy (NumPy format 1.0-3.0). Readers trust
// nothing: every size is checked against the file before memory is touched, and an Error says
// which file, what is wrong and what to do. Writers write beside the target and rename.
//
//     const Safetensors file = read_safetensors("weights.safetensors");
//     if (const Tensor* bias = find(file.tensors, "lm_head.bias")) write_npy("bias.npy", *bias);
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace hrm {

using Path = std::filesystem::path;
// Named tensors in the order of the file (safetensors: by offset).
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
const Tensor* find(const NamedTensors& tensors, const std::string& name);  // null if absent

// A read-only memory-mapped file.
class MappedFile {
 public:
  explicit MappedFile(const Path& path);
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::shared_ptr<void> owner() const { return owner_; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::shared_ptr<void> owner_;
};

struct Safetensors {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;
};
// Files may hold F64, F32, BF16, I64, I32, U8, BOOL. I64 is narrowed to i32 with a range check,
// BOOL to u8 (0 or 1).
Safetensors read_safetensors(const Path& path);
Safetensors parse_safetensors(std::span<const std::byte> bytes, const std::string& name);
// Tensors of any dtype, made contiguous; data aligned to 8 bytes, widest dtypes first.
void write_safetensors(const Path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});
// The bytes of such a file.
std::vector<std::byte> safetensors_bytes(const NamedTensors& tensors,
                                         const std::map<std::string, std::string>& metadata = {});

// npy: little-endian u1, b1, i4, i8, f4, f8 in C order. i8 narrows to i32 (range checked), b1 to
// u8. The tensor maps the file (no copy) unless it has to be narrowed or is misaligned.
Tensor read_npy(const Path& path);
Tensor parse_npy(std::span<const std::byte> bytes, const std::shared_ptr<void>& owner,
                 const std::string& name);
void write_npy(const Path& path, const Tensor& tensor);
// An npy file of many rows, written as they come; complete only after finish().
class NpyWriter {
 public:
  NpyWriter(const Path& path, DType dtype, int64_t row_size);
  void append(const void* row);
  void finish();

 private:
  Path path_;
  DType dtype_;
  int64_t row_size_, rows_ = 0;
  std::ofstream file_;
};

// Pieces of a file in their order, so that a large tensor is written from where it lies.
using Parts = std::vector<std::span<const std::byte>>;

// For files that belong to the program (in run folders and data sets). Writes through `path` +
// ".tmp", flushes to disk and renames; on any failure (full disk, no permission) removes the
// temporary file and throws an Error naming the path and the reason. A link at either name is
// replaced, never followed.
void write_file_atomically(const Path& path, const Parts& parts);
void write_file_atomically(const Path& path, const std::string& text);
// Whether a name stands for the standard output: "-", /dev/stdout and the like.
bool is_standard_output(const Path& path);
// For files that the user names. A regular file is replaced as above, also where a link leads to
// it; a device, a pipe and the standard output are written to as they are.
void write_output(const Path& path, const Parts& parts);
void write_output(const Path& path, const std::string& text);
// Makes a new entry of a folder (a rename, say) survive a loss of power. Some file systems cannot;
// then nothing happens.
void sync_folder_of(const Path& path);
// Makes a folder and those above it, where they are missing.
void create_folder(const Path& path);
std::string read_file(const Path& path);
// Bytes that can still be written where `path` is or would be made; `*folder`, if given, is the
// folder that was asked.
double free_disk_bytes(const Path& path, Path* folder = nullptr);

// 64-bit FNV-1a of a text, for names.
uint64_t name_hash(std::string_view name);
// A 64-bit checksum of files: every difference moves about half of its bits, so damage is missed
// once in 2^64. It protects against accidents, not against somebody who wants to deceive.
uint64_t checksum(std::span<const std::byte> bytes);
// Its 16 hexadecimal digits.
std::string hexadecimal(uint64_t number);

}  // namespace hrm
