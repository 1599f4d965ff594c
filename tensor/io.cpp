#include "tensor/io.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "tensor/mapped_files.h"

namespace hrm {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the reference implementation

static_assert(std::endian::native == std::endian::little, "both formats are little-endian");

// Bytes of a tensor of these dimensions, or an Error. The product is taken without the zeros, so
// that an empty tensor cannot smuggle in dimensions whose strides overflow.
size_t checked_bytes(const std::vector<int64_t>& dims, size_t element, const std::string& name) {
  HRM_CHECK(dims.size() <= kMaxDims, "[read] ", name, " has ", dims.size(), " dimensions; at most ",
            kMaxDims, " are supported");
  int64_t total = static_cast<int64_t>(element);
  bool empty = false;
  for (int64_t d : dims) {
    HRM_CHECK(d >= 0, "[read] ", name, " has a negative dimension ", d);
    HRM_CHECK(!__builtin_mul_overflow(total, std::max<int64_t>(d, 1), &total), "[read] ", name,
              " has dimensions whose product is too large");
    empty |= d == 0;
  }
  HRM_CHECK(empty || std::in_range<size_t>(total), "[read] ", name,
            " has dimensions whose product is too large");
  return empty ? 0 : static_cast<size_t>(total);
}

// The values of a contiguous tensor in host memory.
std::span<const std::byte> bytes_of(const Tensor& t) {
  return {static_cast<const std::byte*>(t.data()), t.nbytes()};
}

// Element types by their safetensors name, and what they become in memory.
struct FileType {
  const char* name;
  size_t size;  // bytes of an element in the file
  DType dtype;
};
constexpr FileType kFileTypes[] = {
    {"F64", 8, DType::f64}, {"F32", 4, DType::f32}, {"BF16", 2, DType::bf16},
    {"I64", 8, DType::i32}, {"I32", 4, DType::i32}, {"U8", 1, DType::u8},
    {"BOOL", 1, DType::u8},
};

FileType file_type(std::string_view type, const std::string& name) {
  for (const FileType& t : kFileTypes)
    if (type == t.name) return t;
  detail::fail("[read] ", name, " has dtype ", type,
               "; supported are F64, F32, BF16, I64, I32, U8 and BOOL");
}

// A tensor over `data`: mapped in place if the dtype is one of ours and aligned, else a copy.
Tensor narrow(const std::byte* data, const Shape& shape, const FileType& type,
              const std::shared_ptr<void>& owner, const std::string& name) {
  const bool same = std::string_view(type.name) != "I64" && std::string_view(type.name) != "BOOL";
  if (same && owner && reinterpret_cast<uintptr_t>(data) % type.size == 0)
    return Tensor(
        Storage(const_cast<std::byte*>(data), shape.numel() * type.size, Device::cpu, owner), 0,
        shape, shape.contiguous_strides(), type.dtype);
  Tensor t(shape, type.dtype);
  const int64_t n = shape.numel();
  if (same) {
    if (n > 0) std::memcpy(t.data(), data, t.nbytes());
  } else if (type.dtype == DType::u8) {
    for (int64_t i = 0; i < n; ++i) t.data<uint8_t>()[i] = data[i] != std::byte{0};
  } else {
    int32_t* out = t.data<int32_t>();
    for (int64_t i = 0; i < n; ++i) {
      int64_t value;
      std::memcpy(&value, data + i * 8, 8);
      HRM_CHECK(std::in_range<int32_t>(value), "[read] ", name, " holds ", value, " at element ", i,
                ", which does not fit 32 bits");
      out[i] = static_cast<int32_t>(value);
    }
  }
  return t;
}

// The name under which our own dtype is written.
constexpr const char* safetensors_name(DType dtype) {
  for (const FileType& t : kFileTypes)
    if (t.dtype == dtype && t.size == size_of(dtype)) return t.name;
  return "";
}

// What the library says about a text that is no JSON, without the tag in front.
std::string reason_of(const json::exception& error) {
  const std::string what = error.what();
  const size_t at = what.find("] ");
  return at == std::string::npos ? what : what.substr(at + 2);
}

// The header as JSON. nlohmann keeps the last of two equal keys and has no limit of depth; here
// both are errors.
json parse_header(const char* begin, const char* end, const std::string& name) {
  constexpr int kDeepest = 8;                 // a shape has depth 3
  std::map<int, std::set<std::string>> keys;  // of the objects that are open, by depth
  const auto on_event = [&](int depth, json::parse_event_t event, json& value) {
    HRM_CHECK(depth <= kDeepest, "[safetensors] ", name, ": the header is nested more than ",
              kDeepest, " levels deep");
    if (event == json::parse_event_t::object_start) keys[depth + 1].clear();
    if (event == json::parse_event_t::key) {
      const std::string key = value.get<std::string>();
      HRM_CHECK(keys[depth].insert(key).second, "[safetensors] ", name, ": ",
                depth == 1 ? "two tensors are" : "two members of a tensor are", " named '", key,
                "'");
    }
    return true;
  };
  json header = json::parse(begin, end, on_event);
  HRM_CHECK(header.is_object(), "[safetensors] ", name, ": the header is no JSON object");
  return header;
}

// A JSON array of whole numbers that fit 64 bits; nlohmann alone would accept 1.5, true and 2^64-1.
std::vector<int64_t> integers(const json& array, const std::string& where) {
  HRM_CHECK(array.is_array(), "[safetensors] ", where, ": shape and data_offsets must be arrays");
  std::vector<int64_t> values;
  for (const json& value : array) {
    HRM_CHECK(value.is_number_integer() &&
                  (!value.is_number_unsigned() || std::in_range<int64_t>(value.get<uint64_t>())),
              "[safetensors] ", where, ": shape and data_offsets must be whole numbers, got ",
              value.dump(-1, ' ', true, json::error_handler_t::replace));
    values.push_back(value.get<int64_t>());
  }
  return values;
}

struct Entry {
  std::string name;
  FileType type;
  std::vector<int64_t> dims;
  uint64_t begin, end;  // offsets into the data
};

Entry parse_entry(const std::string& key, const json& value, const std::string& where) {
  HRM_CHECK(value.is_object(), "[safetensors] ", where, ": must be a JSON object");
  const auto range = integers(value.at("data_offsets"), where);
  HRM_CHECK(range.size() == 2 && range[0] >= 0 && range[0] <= range[1], "[safetensors] ", where,
            ": data_offsets must be [begin, end]");
  Entry entry{key, file_type(value.at("dtype").get<std::string>(), where),
              integers(value.at("shape"), where), static_cast<uint64_t>(range[0]),
              static_cast<uint64_t>(range[1])};
  const size_t wanted = checked_bytes(entry.dims, entry.type.size, where);
  HRM_CHECK(wanted == entry.end - entry.begin, "[safetensors] ", where, ": its shape needs ",
            wanted, " bytes, its offsets hold ", entry.end - entry.begin);
  return entry;
}

Safetensors parse_tensors(std::span<const std::byte> bytes, const std::shared_ptr<void>& owner,
                          const std::string& name) {
  HRM_CHECK(bytes.size() >= 8, "[safetensors] ", name, " is truncated: ", bytes.size(),
            " bytes, a header needs 8");
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  HRM_CHECK(length <= bytes.size() - 8, "[safetensors] ", name,
            " is truncated or damaged: header of ", length, " bytes in a file of ", bytes.size());
  HRM_CHECK(length <= kMaxHeader, "[safetensors] ", name, " has a header of ", length,
            " bytes; at most ", kMaxHeader, " are allowed");
  const char* text = reinterpret_cast<const char*>(bytes.data()) + 8;
  const std::span<const std::byte> data = bytes.subspan(8 + length);
  Safetensors result;
  std::vector<Entry> entries;
  try {
    const json header = parse_header(text, text + length, name);
    for (const auto& [key, value] : header.items()) {
      if (key != "__metadata__") {
        entries.push_back(parse_entry(key, value, name + " tensor '" + key + "'"));
        continue;
      }
      HRM_CHECK(value.is_object(), "[safetensors] ", name, ": __metadata__ must be a JSON object");
      for (const auto& [k, v] : value.items()) result.metadata[k] = v.get<std::string>();
    }
  } catch (const json::exception& error) {
    detail::fail("[safetensors] ", name, ": bad header: ", reason_of(error));
  }
  // The tensors must tile the data exactly, as the format demands; this is also what finds a file
  // that was cut off. All offsets are checked before the first tensor is made.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t end = 0;
  for (const Entry& entry : entries) {
    HRM_CHECK(entry.begin >= end, "[safetensors] ", name, " tensor '", entry.name,
              "' overlaps the one before it");
    HRM_CHECK(entry.begin == end, "[safetensors] ", name, " tensor '", entry.name,
              "' leaves a hole before it");
    HRM_CHECK(entry.end <= data.size(), "[safetensors] ", name, " tensor '", entry.name,
              "' lies outside the file. HINT: the file is truncated or damaged");
    end = entry.end;
  }
  HRM_CHECK(end == data.size(), "[safetensors] ", name, " has ", data.size() - end,
            " bytes after its last tensor");
  for (const Entry& entry : entries)
    result.tensors.emplace_back(
        entry.name, narrow(data.data() + entry.begin, Shape(entry.dims), entry.type, owner,
                           name + " tensor '" + entry.name + "'"));
  return result;
}

// Removes `path` unless told that it may stay.
struct RemoveOnFailure {
  explicit RemoveOnFailure(Path p) : path(std::move(p)) {}
  ~RemoveOnFailure() {
    if (!keep) ::unlink(path.c_str());
  }
  Path path;
  bool keep = false;
};

std::string reason(int error) { return std::strerror(error); }

}  // namespace

const Tensor* find(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return &tensor;
  return nullptr;
}

MappedFile::MappedFile(const Path& path) {
  const int file =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not block
  HRM_CHECK(file >= 0, "[read] cannot open ", path.string(), ": ", reason(errno));
  struct stat info {};
  const bool regular = ::fstat(file, &info) == 0 && S_ISREG(info.st_mode);
  void* data = nullptr;
  HRM_CHECK(!regular || std::in_range<size_t>(info.st_size), "[read] ", path.string(),
            " is too large for this machine");
  if (regular && info.st_size > 0) {
    size_ = static_cast<size_t>(info.st_size);
    data = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, 0);
  }
  const int error = errno;
  ::close(file);
  HRM_CHECK(regular, "[read] ", path.string(), " is not a regular file");
  HRM_CHECK(data != MAP_FAILED, "[read] cannot map ", path.string(), ": ", reason(error));
  data_ = static_cast<const std::byte*>(data);
  if (!data) return;
  note_mapped(data, size_, path.string());
  owner_ = std::shared_ptr<void>(data, [size = size_](void* p) {
    forget_mapped(p);
    ::munmap(p, size);
  });
}

Safetensors read_safetensors(const Path& path) {
  const MappedFile file(path);
  return parse_tensors(file.bytes(), file.owner(), path.string());
}

Safetensors parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  return parse_tensors(bytes, nullptr, name);
}

namespace {

// A file as it is written: its head, and the tensors behind it in their order.
struct SafetensorsFile {
  SafetensorsFile(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata);
  Parts parts() const;

  uint64_t length = 0;  // of the text
  std::string text;
  NamedTensors sorted;
};

SafetensorsFile::SafetensorsFile(const NamedTensors& tensors,
                                 const std::map<std::string, std::string>& metadata) {
  for (const auto& [name, tensor] : tensors) {
    HRM_CHECK(tensor.defined(), "[safetensors] tensor '", name, "' is undefined");
    HRM_CHECK(name != "__metadata__", "[safetensors] no tensor may be named __metadata__");
    sorted.emplace_back(name, tensor.to(Device::cpu).contiguous());
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return size_of(a.second.dtype()) > size_of(b.second.dtype());
  });
  nlohmann::ordered_json header;
  if (!metadata.empty()) header["__metadata__"] = metadata;
  size_t at = 0;
  for (const auto& [name, tensor] : sorted) {
    HRM_CHECK(!header.contains(name), "[safetensors] two tensors are named '", name, "'");
    const std::vector<int64_t> dims(tensor.shape().begin(), tensor.shape().end());
    header[name] = {{"dtype", safetensors_name(tensor.dtype())},
                    {"shape", dims},
                    {"data_offsets", {at, at + tensor.nbytes()}}};
    at += tensor.nbytes();
  }
  try {
    text = header.empty() ? "{}" : header.dump();
  } catch (const json::exception& error) {
    detail::fail("[safetensors] names and metadata must be UTF-8: ", reason_of(error));
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  length = text.size();
}

Parts SafetensorsFile::parts() const {
  Parts parts{std::as_bytes(std::span(&length, 1)), std::as_bytes(std::span(text))};
  for (const auto& [name, tensor] : sorted) parts.push_back(bytes_of(tensor));
  return parts;
}

}  // namespace

void write_safetensors(const Path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  write_output(path, SafetensorsFile(tensors, metadata).parts());
}

std::vector<std::byte> safetensors_bytes(const NamedTensors& tensors,
                                         const std::map<std::string, std::string>& metadata) {
  const SafetensorsFile file(tensors, metadata);
  std::vector<std::byte> bytes;
  for (const std::span<const std::byte> part : file.parts())
    bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

Tensor read_npy(const Path& path) {
  const MappedFile file(path);
  return parse_npy(file.bytes(), file.owner(), path.string());
}

Tensor parse_npy(std::span<const std::byte> bytes, const std::shared_ptr<void>& owner,
                 const std::string& name) {
  const char* text = reinterpret_cast<const char*>(bytes.data());
  HRM_CHECK(bytes.size() >= 10 && std::memcmp(text, "\x93NUMPY", 6) == 0, "[npy] ", name,
            " is not an npy file");
  const int version = text[6];
  HRM_CHECK(version >= 1 && version <= 3, "[npy] ", name, " has format version ", version,
            "; supported are 1 to 3");
  const size_t start = version == 1 ? 10 : 12;
  HRM_CHECK(bytes.size() >= start, "[npy] ", name, " is truncated in its header");
  uint32_t length = 0;
  std::memcpy(&length, text + 8, version == 1 ? 2 : 4);
  HRM_CHECK(length <= bytes.size() - start, "[npy] ", name, " is truncated in its header");
  const std::string header(text + start, length);

  // The header is a Python dict; the value of a key is what follows it up to the next key.
  const auto value_of = [&](const std::string& key) {
    const size_t at = header.find("'" + key + "'");
    const size_t colon = at == std::string::npos ? at : header.find(':', at);
    HRM_CHECK(colon != std::string::npos, "[npy] ", name, " has no '", key, "' in its header");
    const size_t begin = header.find_first_not_of(' ', colon + 1);
    return begin == std::string::npos ? std::string() : header.substr(begin);
  };
  const std::string order = value_of("fortran_order");
  HRM_CHECK(order.starts_with("False"), "[npy] ", name,
            " is in Fortran order. HINT: save it with np.ascontiguousarray");
  const std::string quoted = value_of("descr");
  const size_t quote = quoted.empty() ? std::string::npos : quoted.find('\'', 1);
  HRM_CHECK(!quoted.empty() && quoted[0] == '\'' && quote != std::string::npos, "[npy] ", name,
            " has an unsupported 'descr'");
  const std::string descr = quoted.substr(1, quote - 1);
  static const std::map<std::string, const char*> types = {
      {"|u1", "U8"},  {"<u1", "U8"},  {"|b1", "BOOL"}, {"<i4", "I32"},
      {"<i8", "I64"}, {"<f4", "F32"}, {"<f8", "F64"}};
  const auto known = types.find(descr);
  HRM_CHECK(known != types.end(), "[npy] ", name, " has dtype '", descr,
            "'; supported are u1, b1, i4, i8, f4 and f8, little-endian");
  const FileType type = file_type(known->second, name);
  const std::string shape_text = value_of("shape");
  const size_t close = shape_text.find(')');
  HRM_CHECK(shape_text.starts_with('(') && close != std::string::npos, "[npy] ", name,
            " has a damaged shape");
  std::vector<int64_t> dims;  // "(2, 3)", "(2,)", "()"
  std::istringstream items(shape_text.substr(1, close - 1));
  for (std::string item; std::getline(items, item, ',');) {
    const size_t first = item.find_first_not_of(' ');
    if (first == std::string::npos && items.eof()) break;  // nothing after the last comma
    int64_t value = 0;
    const char* const end = item.data() + item.size();
    const auto [rest, error] =
        std::from_chars(item.data() + std::min(first, item.size()), end, value);
    HRM_CHECK(error != std::errc::result_out_of_range, "[npy] ", name,
              " has a dimension that is too large");
    HRM_CHECK(error == std::errc() && std::all_of(rest, end, [](char c) { return c == ' '; }),
              "[npy] ", name, " has a damaged shape");
    dims.push_back(value);
  }
  const size_t wanted = checked_bytes(dims, type.size, name);
  const size_t there = bytes.size() - start - length;
  HRM_CHECK(wanted == there, "[npy] ", name, " needs ", wanted,
            " bytes of data for its shape, has ", there,
            ". HINT: the file is truncated or damaged");
  return narrow(bytes.data() + start + length, Shape(dims), type, owner, name);
}

namespace {

// Magic, version, length and the dictionary, padded to a multiple of 64 bytes.
std::string npy_header(DType dtype, const Shape& shape) {
  const char* descr = "";
  switch (dtype) {
    case DType::f32:
      descr = "<f4";
      break;
    case DType::f64:
      descr = "<f8";
      break;
    case DType::i32:
      descr = "<i4";
      break;
    case DType::u8:
      descr = "|u1";
      break;
    case DType::bf16:
      detail::fail("[npy] npy has no bf16. HINT: convert to f32 first");
  }
  std::ostringstream text;
  text << "{'descr': '" << descr << "', 'fortran_order': False, 'shape': (";
  for (int64_t d : shape) text << d << ", ";
  text << "), }";
  std::string header = text.str();
  if (shape.ndim() > 1)  // NumPy writes (2, 3) but (2,)
    header.erase(header.rfind(", )"), 2);
  else if (shape.ndim() == 1)
    header.erase(header.rfind(" )"), 1);
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  std::string start = "\x93NUMPY";
  start += std::string("\x01\x00", 2);
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);
  return start + header;
}

}  // namespace

void write_npy(const Path& path, const Tensor& tensor) {
  const Tensor dense = tensor.to(Device::cpu).contiguous();
  const std::string header = npy_header(dense.dtype(), dense.shape());
  write_output(path, {std::as_bytes(std::span(header)), bytes_of(dense)});
}

NpyWriter::NpyWriter(const Path& path, DType dtype, int64_t row_size)
    : path_(path), dtype_(dtype), row_size_(row_size), file_(path, std::ios::binary) {
  HRM_CHECK(file_.is_open(), "[write] cannot create ", path.string(), ": ", reason(errno));
  // The header of any number of rows below 10^15 has the same size.
  file_ << npy_header(dtype, {1'000'000'000'000'000, row_size});
}

void NpyWriter::append(const void* row) {
  file_.write(static_cast<const char*>(row), row_size_ * static_cast<int64_t>(size_of(dtype_)));
  HRM_CHECK(!file_.fail(), "[write] cannot write ", path_.string(), ": ", reason(errno));
  ++rows_;
}

void NpyWriter::finish() {
  const size_t reserved = npy_header(dtype_, {1'000'000'000'000'000, row_size_}).size();
  std::string header = npy_header(dtype_, {rows_, row_size_});
  HRM_CHECK(header.size() == reserved, "[npy] the header of ", path_.string(), " changed its size");
  file_.seekp(0);
  file_ << header;
  file_.close();
  HRM_CHECK(!file_.fail(), "[write] cannot write ", path_.string(), ": ", reason(errno));
}

namespace {

// Writes all parts to a descriptor; the error number, or 0.
int write_parts(int file, const Parts& parts) {
  for (std::span<const std::byte> left : parts)
    while (!left.empty()) {
      const ssize_t n = ::write(file, left.data(), std::min<size_t>(left.size(), 1 << 30));
      if (n < 0 && errno != EINTR) return errno;
      if (n > 0) left = left.subspan(static_cast<size_t>(n));
    }
  return 0;
}

// What a chain of links leads to, whether it exists or not. A circle of links ends somewhere in it.
Path end_of_links(Path path) {
  constexpr int kLongestChain = 40;  // the kernel's own limit
  std::error_code none;
  for (int i = 0; i < kLongestChain; ++i) {
    const Path next = std::filesystem::read_symlink(path, none);
    if (none) break;  // it is no link
    path = path.parent_path() / next;
  }
  return path;
}

}  // namespace

void sync_folder_of(const Path& path) {
  const Path folder = path.has_parent_path() ? path.parent_path() : Path(".");
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

void write_file_atomically(const Path& path, const Parts& parts) {
  const Path temporary = path.string() + ".tmp";
  // What an interrupted call left there goes. It may be a link that somebody else put there: it is
  // removed, not followed.
  HRM_CHECK(::unlink(temporary.c_str()) == 0 || errno == ENOENT, "[write] cannot replace ",
            temporary.string(), ": ", reason(errno));
  const int file =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  HRM_CHECK(file >= 0, "[write] cannot create ", temporary.string(), ": ", reason(errno));
  RemoveOnFailure guard(temporary);
  int error = write_parts(file, parts);
  if (!error && ::fsync(file) != 0) error = errno;
  if (::close(file) != 0 && !error) error = errno;
  HRM_CHECK(!error, "[write] cannot write ", path.string(), ": ", reason(error));
  HRM_CHECK(::rename(temporary.c_str(), path.c_str()) == 0, "[write] cannot rename ",
            temporary.string(), ": ", reason(errno));
  guard.keep = true;
  sync_folder_of(path);
}

void write_file_atomically(const Path& path, const std::string& text) {
  write_file_atomically(path, Parts{std::as_bytes(std::span(text))});
}

bool is_standard_output(const Path& path) {
  constexpr std::array names = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"};
  return std::ranges::find(names, path) != names.end();
}

void write_output(const Path& path, const Parts& parts) {
  HRM_CHECK(!path.empty(), "[write] a file needs a name");
  if (is_standard_output(path)) {
    std::fflush(stdout);
    const int error = write_parts(STDOUT_FILENO, parts);
    HRM_CHECK(!error, "[write] cannot write to standard output: ", reason(error));
    return;
  }
  struct stat info {};
  const bool exists = ::stat(path.c_str(), &info) == 0;  // of what a link leads to
  if (!exists || S_ISREG(info.st_mode)) return write_file_atomically(end_of_links(path), parts);
  HRM_CHECK(!S_ISDIR(info.st_mode), "[write] cannot write ", path.string(),
            ": it is a folder. HINT: name a file in it");
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  HRM_CHECK(file >= 0, "[write] cannot open ", path.string(), ": ", reason(errno));
  int error = write_parts(file, parts);
  if (::close(file) != 0 && !error) error = errno;
  HRM_CHECK(!error, "[write] cannot write ", path.string(), ": ", reason(error));
}

void write_output(const Path& path, const std::string& text) {
  write_output(path, Parts{std::as_bytes(std::span(text))});
}

void create_folder(const Path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  HRM_CHECK(!error, "[write] cannot create the folder ", path.string(), ": ", error.message());
}

std::string read_file(const Path& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

double free_disk_bytes(const Path& path, Path* folder) {
  std::error_code ignored;
  Path existing = std::filesystem::absolute(path, ignored);
  while (existing.has_relative_path() && !std::filesystem::exists(existing, ignored))
    existing = existing.parent_path();
  if (folder) *folder = existing;
  return static_cast<double>(std::filesystem::space(existing, ignored).available);
}

namespace {
constexpr uint64_t kFnvStart = 0xcbf29ce484222325u, kFnvPrime = 0x100000001b3u;
}  // namespace

uint64_t name_hash(std::string_view name) {
  uint64_t hash = kFnvStart;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * kFnvPrime;
  return hash;
}

uint64_t checksum(std::span<const std::byte> bytes) {
  // Odd constants without a pattern: the fractional bits of the square roots of 2 and 3.
  constexpr uint64_t kFirst = 0x6a09e667f3bcc909u, kSecond = 0xbb67ae8584caa73bu;
  // Multiplication carries a difference to the bits above it, the rotation to those below, so that
  // no two differences stay in a bit of their own and cancel.
  const auto mix = [](uint64_t sum, uint64_t word) {
    return std::rotl(sum ^ (word * kFirst), 29) * kSecond;
  };
  // Four sums side by side, since each has to wait for its own multiplications.
  constexpr size_t kLanes = 4;
  std::array<uint64_t, kLanes> lanes = {1, 2, 3, 4};
  size_t i = 0;
  for (; i + 8 * kLanes <= bytes.size(); i += 8 * kLanes) {
    std::array<uint64_t, kLanes> words;
    std::memcpy(words.data(), bytes.data() + i, sizeof words);
    for (size_t k = 0; k < kLanes; ++k) lanes[k] = mix(lanes[k], words[k]);
  }
  uint64_t sum = mix(0, bytes.size());
  for (const uint64_t lane : lanes) sum = mix(sum, lane);
  for (; i < bytes.size(); ++i) sum = mix(sum, static_cast<uint64_t>(bytes[i]));
  for (int round = 0; round < 2; ++round) sum = (sum ^ (sum >> 32)) * kFirst;
  return sum ^ (sum >> 32);
}

std::string hexadecimal(uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

}  // namespace hrm
