#include "tensor/pytorch_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "tensor/file_text.h"
#include "tensor/pickle.h"
#include "tensor/zip_archive.h"

namespace hrm {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMostDepth = 32, kMostSteps = 2'000'000, kMostTensors = 100'000,
                 kLongestName = 1000;
constexpr const char* kPickleName = "data.pkl";

// Element types: the class of their storages, their name, and what they become.
struct ElementType {
  std::string_view storage, name;
  size_t size;  // bytes of an element in the file; 0: not supported
  DType dtype;
  bool same;  // the elements are those of `dtype`, bit by bit
};
constexpr ElementType kTypes[] = {
    {"torch.FloatStorage", "torch.float32", 4, DType::f32, true},
    {"torch.DoubleStorage", "torch.float64", 8, DType::f64, true},
    {"torch.HalfStorage", "torch.float16", 2, DType::f32, false},
    {"torch.BFloat16Storage", "torch.bfloat16", 2, DType::bf16, true},
    {"torch.LongStorage", "torch.int64", 8, DType::i32, false},
    {"torch.IntStorage", "torch.int32", 4, DType::i32, true},
    {"torch.ShortStorage", "torch.int16", 2, DType::i32, false},
    {"torch.CharStorage", "torch.int8", 1, DType::i32, false},
    {"torch.ByteStorage", "torch.uint8", 1, DType::u8, true},
    {"torch.BoolStorage", "torch.bool", 1, DType::u8, false},
    {"torch.ComplexFloatStorage", "torch.complex64", 0, {}, false},
    {"torch.ComplexDoubleStorage", "torch.complex128", 0, {}, false},
    {"torch.QInt8Storage", "torch.qint8", 0, {}, false},
    {"torch.QUInt8Storage", "torch.quint8", 0, {}, false},
    {"torch.QInt32Storage", "torch.qint32", 0, {}, false},
    {"torch.QUInt4x2Storage", "torch.quint4x2", 0, {}, false},
    {"torch.QUInt2x4Storage", "torch.quint2x4", 0, {}, false},
    // Those below have no class of storages: UntypedStorage holds them.
    {"", "torch.complex32", 0, {}, false},
    {"", "torch.uint16", 0, {}, false},
    {"", "torch.uint32", 0, {}, false},
    {"", "torch.uint64", 0, {}, false},
    {"", "torch.float8_e4m3fn", 0, {}, false},
    {"", "torch.float8_e4m3fnuz", 0, {}, false},
    {"", "torch.float8_e5m2", 0, {}, false},
    {"", "torch.float8_e5m2fnuz", 0, {}, false},
    {"", "torch.float8_e8m0fnu", 0, {}, false},
};
constexpr std::string_view kUntypedStorage = "torch.storage.UntypedStorage";

// What makes a tensor of its arguments. The others wrap a call of one of the first two.
constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildTyped = "torch._utils._rebuild_tensor_v3";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kRebuildParameterState = "torch._utils._rebuild_parameter_with_state";
constexpr std::string_view kRebuildWithState = "torch._tensor._rebuild_from_type_v2";
constexpr std::string_view kSize = "torch.Size";

constexpr PickleGlobal kOtherGlobals[] = {
    {kRebuildTensor},
    {kRebuildTyped},
    {kRebuildParameter},
    {kRebuildParameterState},
    {kRebuildWithState},
    {kSize},
    {kUntypedStorage},
    {"torch.Tensor"},
    {"torch.nn.parameter.Parameter"},
    {"torch.nn.parameter.Buffer"},
    {"torch.device"},
    {"torch._utils._rebuild_qtensor", "a quantized tensor"},
    {"torch._utils._rebuild_sparse_tensor", "a sparse tensor"},
    {"torch._utils._rebuild_sparse_csr_tensor", "a sparse tensor"},
    {"torch._utils._rebuild_nested_tensor", "a nested tensor"},
    {"torch._utils._rebuild_meta_tensor_no_storage", "a tensor without data"},
};

std::vector<PickleGlobal> known_globals() {
  std::vector<PickleGlobal> globals(std::begin(kOtherGlobals), std::end(kOtherGlobals));
  for (const ElementType& type : kTypes) {
    if (!type.storage.empty()) globals.push_back({type.storage});
    globals.push_back({type.name});
  }
  return globals;
}

// IEEE 754 binary16: a sign, 5 bits of exponent, 10 of fraction.
float from_half(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 31) {
    const uint32_t wide = static_cast<uint32_t>(bits & 0x8000) << 16 | 0x7f800000u;
    return std::bit_cast<float>(wide | static_cast<uint32_t>(fraction) << 13);
  }
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                   : std::ldexp(static_cast<float>(fraction | 1024), exponent - 25);
  return bits & 0x8000 ? -size : size;
}

// The elements of a view in row-major order: calls visit(i, element) with the number of each and
// its place in the storage. All places have been checked.
template <class Visit>
void visit_elements(const Shape& shape, const Shape& strides, int64_t offset, const Visit& visit) {
  std::array<int64_t, kMaxDims> at = {};
  const int64_t n = shape.numel();
  int64_t place = offset;
  for (int64_t i = 0; i < n; ++i) {
    visit(i, place);
    for (int d = shape.ndim() - 1; d >= 0; --d) {
      if (++at[d] < shape[d]) {
        place += strides[d];
        break;
      }
      place -= (shape[d] - 1) * strides[d];  // no further than the checked places
      at[d] = 0;
    }
  }
}

// What a tensor is, as its call says.
struct View {
  ElementType type;
  const ZipArchive::Entry* storage;
  int64_t offset;  // in elements, as the strides
  Shape shape, strides;
};

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::shared_ptr<void> owner, const std::string& file)
      : bytes_(bytes), owner_(std::move(owner)), file_(file), archive_(bytes, file) {}

  NamedTensors read();

 private:
  template <class... Words>
  void check(bool holds, const Words&... words) const {
    HRM_CHECK(holds, "[pytorch] ", file_, name_.empty() ? "" : ": '", shown(name_),
              name_.empty() ? "" : "'", words...);
  }

  void find_top();
  void check_byte_order() const;
  void walk(const PickleValue& dict, const std::string& path, size_t depth);
  std::string key_of(const PickleValue& key) const;
  bool is_tensor(const PickleValue& value) const;
  void add(uint32_t number, const std::string& name);

  // From a call to a tensor. Errors name name_, the tensor at hand.
  const PickleValue& at(uint32_t number) const { return pickle_.values[number]; }
  bool is_global(uint32_t number, std::string_view name) const;
  View view_of(const PickleValue& call) const;
  View plain_view(std::string_view function, const std::vector<uint32_t>& arguments) const;
  const ElementType& type_named(std::string_view name, bool of_storage) const;
  const ZipArchive::Entry* storage_of(const PickleValue& value, std::string_view* type,
                                      int64_t* elements) const;
  Shape sizes_of(const PickleValue& value, const char* what) const;
  void check_bounds(const View& view) const;
  Tensor tensor_of(const View& view);
  void count_copy(const View& view);
  Tensor copied(const View& view, std::span<const std::byte> source) const;
  template <class From, class To, class Convert>
  Tensor converted(const View& view, std::span<const std::byte> source,
                   const Convert& convert) const;
  const Storage& memory_of(const ZipArchive::Entry& entry);

  std::span<const std::byte> bytes_;
  std::shared_ptr<void> owner_;
  std::string file_, top_, name_;
  ZipArchive archive_;
  Pickle pickle_;
  NamedTensors tensors_;
  std::set<std::string> names_;
  size_t steps_ = 0;
  uint64_t copied_ = 0;                                              // bytes in the file
  std::unordered_map<uint32_t, Tensor> made_;                        // by the value of the pickle
  std::unordered_map<const ZipArchive::Entry*, Storage> in_memory_;  // what has been verified
};

NamedTensors Reader::read() {
  find_top();
  check_byte_order();
  const std::string pickle = top_ + kPickleName;
  const std::vector<PickleGlobal> globals = known_globals();
  const auto bytes = archive_.read(*archive_.find(pickle));
  pickle_ = parse_pickle(bytes, file_ + ": " + shown(pickle), globals);
  check(pickle_.root().kind == Kind::dict, " holds no dictionary of tensors", kSaveTensors);
  walk(pickle_.root(), "", 1);
  return std::move(tensors_);
}

// All entries lie in one folder, which is called as the file was when it was written.
void Reader::find_top() {
  for (const ZipArchive::Entry& entry : archive_.entries()) {
    const size_t slash = entry.name.find('/');
    if (slash == std::string_view::npos || entry.name.substr(slash + 1) != kPickleName) continue;
    check(top_.empty(), " holds two checkpoints, '", shown(top_), "' and '",
          shown(entry.name.substr(0, slash + 1)), "'", kSaveTensors);
    top_ = entry.name.substr(0, slash + 1);
  }
  check(!top_.empty(), " is a zip archive, and not one of torch.save: it has no ", kPickleName,
        kSaveTensors);
}

void Reader::check_byte_order() const {
  const ZipArchive::Entry* entry = archive_.find(top_ + "byteorder");
  if (!entry) return;  // before PyTorch 2.1, which wrote it
  const auto bytes = archive_.read(*entry);
  const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  check(order == "little", " has the byte order '", shown(order),
        "'; only 'little' is supported. HINT: load it in Python on a little-endian machine, and "
        "torch.save it there");
}

std::string Reader::key_of(const PickleValue& key) const {
  if (key.kind == Kind::integer) return std::to_string(key.integer);
  check(key.text.size() <= kLongestName, " has a name of ", key.text.size(), " bytes; at most ",
        kLongestName, " are allowed", kSaveTensors);
  return std::string(key.text);
}

bool Reader::is_tensor(const PickleValue& value) const {
  if (value.kind != Kind::call) return false;
  const std::string_view function = at(value.items[0]).text;
  constexpr std::array all = {kRebuildTensor, kRebuildTyped, kRebuildParameter,
                              kRebuildParameterState, kRebuildWithState};
  return std::ranges::find(all, function) != all.end();
}

void Reader::walk(const PickleValue& dict, const std::string& path, size_t depth) {
  check(depth <= kMostDepth, " has dictionaries nested more than ", kMostDepth, " levels deep",
        kSaveTensors);
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    check(++steps_ <= kMostSteps, " has more than ", kMostSteps, " values in its dictionaries",
          kSaveTensors);
    const PickleValue &key = at(dict.items[i]), &value = at(dict.items[i + 1]);
    const bool named = key.kind == Kind::text || key.kind == Kind::integer;
    if (!named || (value.kind != Kind::dict && !is_tensor(value))) continue;
    const std::string name = path + key_of(key);
    check(name.size() <= kLongestName, " has a name of ", name.size(), " bytes; at most ",
          kLongestName, " are allowed", kSaveTensors);
    if (value.kind == Kind::dict)
      walk(value, name + ".", depth + 1);
    else
      add(dict.items[i + 1], name);
  }
}

void Reader::add(uint32_t number, const std::string& name) {
  check(tensors_.size() < kMostTensors, " has more than ", kMostTensors, " tensors", kSaveTensors);
  check(names_.insert(name).second, " holds two tensors named '", shown(name), "'", kSaveTensors);
  Tensor& tensor = made_[number];
  if (!tensor.defined()) {
    name_ = name;
    const View view = view_of(at(number));
    check_bounds(view);
    tensor = tensor_of(view);
    name_.clear();
  }
  tensors_.emplace_back(name, tensor);
}

bool Reader::is_global(uint32_t number, std::string_view name) const {
  return at(number).kind == Kind::global && at(number).text == name;
}

// Follows the calls that wrap another one.
View Reader::view_of(const PickleValue& outermost) const {
  const PickleValue* call = &outermost;
  for (size_t depth = 0; depth < kMostDepth; ++depth) {
    check(is_tensor(*call), " is a parameter without a tensor", kDamaged);
    const std::string_view function = at(call->items[0]).text;
    const std::vector<uint32_t>& arguments = at(call->items[1]).items;
    if (function == kRebuildTensor || function == kRebuildTyped)
      return plain_view(function, arguments);
    if (function == kRebuildWithState) {
      // (function, class, arguments, attributes)
      check(arguments.size() == 4 && at(arguments[0]).kind == Kind::global &&
                at(arguments[2]).kind == Kind::tuple,
            " is a tensor with attributes that are not understood", kSaveTensors);
      return plain_view(at(arguments[0]).text, at(arguments[2]).items);
    }
    check(!arguments.empty(), " is a parameter without a tensor", kDamaged);
    call = &at(arguments[0]);
  }
  check(false, " is a parameter of a parameter of a parameter", kSaveTensors);
  return {};
}

// (storage, offset, sizes, strides, requires_grad, hooks), and then the type, unless it follows
// from the storage, and the metadata, if there are any.
View Reader::plain_view(std::string_view function, const std::vector<uint32_t>& arguments) const {
  const bool typed = function == kRebuildTyped;
  check(typed || function == kRebuildTensor, " is made by ", shown(function), kSaveTensors);
  const size_t least = typed ? 7 : 6;
  check(arguments.size() >= least && arguments.size() <= least + 1, " is a tensor with ",
        arguments.size(), " arguments; ", least, " or ", least + 1, " are known", kDamaged);
  const bool marked = arguments.size() > least && at(arguments[least]).kind != Kind::none &&
                      !at(arguments[least]).items.empty();
  check(!marked,
        " is a view of conjugate or negated numbers. HINT: in Python, tensor.resolve_conj()"
        ".resolve_neg() before torch.save");
  std::string_view name;
  int64_t elements = 0;
  View view;
  view.storage = storage_of(at(arguments[0]), &name, &elements);
  view.type = typed ? type_named(at(arguments[6]).text, false) : type_named(name, true);
  const bool in_bytes = name == kUntypedStorage;
  int64_t bytes = elements;
  const bool fits =
      in_bytes || !__builtin_mul_overflow(elements, static_cast<int64_t>(view.type.size), &bytes);
  check(fits && elements >= 0 && std::cmp_equal(bytes, view.storage->bytes.size()),
        " needs a storage of ", elements, in_bytes ? " bytes" : " elements", ", and its entry '",
        shown(view.storage->name), "' has ", view.storage->bytes.size(), " bytes", kDamaged);
  check(at(arguments[1]).kind == Kind::integer, " has no offset", kDamaged);
  view.offset = at(arguments[1]).integer;
  view.shape = sizes_of(at(arguments[2]), "sizes");
  view.strides = sizes_of(at(arguments[3]), "strides");
  check(view.shape.ndim() == view.strides.ndim(), " has ", view.shape.ndim(), " sizes and ",
        view.strides.ndim(), " strides", kDamaged);
  return view;
}

// The type of a storage's class, or of its own name.
const ElementType& Reader::type_named(std::string_view name, bool of_storage) const {
  const auto type = std::ranges::find(
      kTypes, name, [&](const ElementType& t) { return of_storage ? t.storage : t.name; });
  check(!name.empty() && type != std::end(kTypes), " has no type of elements", kDamaged);
  check(type->size > 0, " has the type ", type->name,
        ", which is not supported. HINT: in Python, make it a tensor of float32 before torch.save: "
        "tensor.float(), tensor.dequantize() or torch.view_as_real(tensor)");
  return *type;
}

// ('storage', class, key, device, number of elements)
const ZipArchive::Entry* Reader::storage_of(const PickleValue& value, std::string_view* type,
                                            int64_t* elements) const {
  const bool outside = value.kind == Kind::persistent && at(value.items[0]).kind == Kind::tuple;
  check(outside, " has no storage", kDamaged);
  const std::vector<uint32_t>& id = at(value.items[0]).items;
  const bool known = id.size() == 5 && at(id[0]).text == "storage" &&
                     at(id[1]).kind == Kind::global && at(id[2]).kind == Kind::text &&
                     at(id[4]).kind == Kind::integer;
  check(known, " has a storage that is not described as torch.save does", kDamaged);
  *type = at(id[1]).text;
  *elements = at(id[4]).integer;
  const std::string name = top_ + "data/" + std::string(at(id[2]).text.substr(0, kLongestName));
  const ZipArchive::Entry* entry = archive_.find(name);
  check(entry, " needs the entry '", shown(name), "', which the file does not have", kDamaged);
  return entry;
}

// A tuple of whole numbers from 0, or a torch.Size of one.
Shape Reader::sizes_of(const PickleValue& value, const char* what) const {
  const PickleValue* tuple = &value;
  if (value.kind == Kind::call && is_global(value.items[0], kSize)) {
    const std::vector<uint32_t>& arguments = at(value.items[1]).items;
    check(arguments.size() == 1, " has a torch.Size of ", arguments.size(), " arguments", kDamaged);
    tuple = &at(arguments[0]);
  }
  check(tuple->kind == Kind::tuple, " has no ", what, kDamaged);
  check(tuple->items.size() <= kMaxDims, " has ", tuple->items.size(), " dimensions; at most ",
        kMaxDims, " are supported");
  std::array<int64_t, kMaxDims> numbers = {};
  const size_t n = tuple->items.size();
  for (size_t i = 0; i < n; ++i) {
    const PickleValue& number = at(tuple->items[i]);
    check(number.kind == Kind::integer && number.integer >= 0, " has ", what,
          " that are no numbers from 0 on", kDamaged);
    numbers[i] = number.integer;
  }
  return Shape(std::span<const int64_t>(numbers.data(), n));
}

// That every element lies in the storage, and that their number can be counted.
void Reader::check_bounds(const View& view) const {
  const auto elements = static_cast<int64_t>(view.storage->bytes.size() / view.type.size);
  // Without the zeros, so that an empty tensor has no sizes whose strides overflow.
  int64_t bytes = 8, last = view.offset;
  bool fits = view.offset >= 0, empty = false;
  for (int d = 0; d < view.shape.ndim(); ++d) {
    const int64_t size = view.shape[d];
    int64_t reach = 0;
    empty |= size == 0;
    fits &= !__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes);
    fits &= !__builtin_mul_overflow(std::max<int64_t>(size - 1, 0), view.strides[d], &reach);
    fits &= !__builtin_add_overflow(last, reach, &last);
  }
  check(fits, " has an offset, sizes or strides that are too large: offset ", view.offset,
        ", sizes ", view.shape, ", strides ", view.strides, kDamaged);
  check(empty || last < elements, " reaches to element ", last, " of a storage of ", elements,
        kDamaged);
}

Tensor Reader::tensor_of(const View& view) {
  const Storage& memory = memory_of(*view.storage);  // verified, also where nothing is read
  const int64_t n = view.shape.numel();
  if (n == 0) return {view.shape, view.type.dtype};
  const Shape dense = view.shape.contiguous_strides();
  bool contiguous = true;
  for (int d = 0; d < view.shape.ndim(); ++d)
    contiguous &= view.shape[d] == 1 || view.strides[d] == dense[d];
  if (view.type.same && contiguous)
    return {memory, view.offset, view.shape, dense, view.type.dtype};
  count_copy(view);
  return copied(view, view.storage->bytes);
}

// Keeps the memory for copies near the size of the file, whatever the sizes in it say.
void Reader::count_copy(const View& view) {
  const uint64_t bytes = static_cast<uint64_t>(view.shape.numel()) * view.type.size;
  const uint64_t left = bytes_.size() - copied_;
  check(bytes <= left, " of ", view.shape, " repeats its storage so often that it takes ", bytes,
        " bytes, more than ", left,
        " that are left of the size of the file. HINT: in Python, "
        "tensor.clone() of each view before torch.save");
  copied_ += bytes;
}

template <class From, class To, class Convert>
Tensor Reader::converted(const View& view, std::span<const std::byte> source,
                         const Convert& convert) const {
  Tensor tensor(view.shape, view.type.dtype);
  auto* to = static_cast<To*>(tensor.data());
  visit_elements(view.shape, view.strides, view.offset, [&](int64_t i, int64_t place) {
    From value;
    std::memcpy(&value, source.data() + place * static_cast<int64_t>(sizeof value), sizeof value);
    to[i] = convert(value);
  });
  return tensor;
}

Tensor Reader::copied(const View& view, std::span<const std::byte> source) const {
  const auto unchanged = [](auto value) { return value; };
  const auto widened = [](auto value) { return static_cast<int32_t>(value); };
  const auto narrowed = [&](int64_t value) {
    check(std::in_range<int32_t>(value), " holds ", value, ", which does not fit 32 bits");
    return static_cast<int32_t>(value);
  };
  const auto truth = [](uint8_t value) -> uint8_t { return value != 0; };
  const std::string_view name = view.type.name;
  if (name == "torch.float16") return converted<uint16_t, float>(view, source, from_half);
  if (name == "torch.int64") return converted<int64_t, int32_t>(view, source, narrowed);
  if (name == "torch.int16") return converted<int16_t, int32_t>(view, source, widened);
  if (name == "torch.int8") return converted<int8_t, int32_t>(view, source, widened);
  if (name == "torch.bool") return converted<uint8_t, uint8_t>(view, source, truth);
  if (view.type.size == 8) return converted<uint64_t, uint64_t>(view, source, unchanged);
  if (view.type.size == 4) return converted<uint32_t, uint32_t>(view, source, unchanged);
  if (view.type.size == 2) return converted<uint16_t, uint16_t>(view, source, unchanged);
  return converted<uint8_t, uint8_t>(view, source, unchanged);
}

// A storage in memory, once its checksum agrees: mapped if it may stay where it is, else a copy.
const Storage& Reader::memory_of(const ZipArchive::Entry& entry) {
  const auto found = in_memory_.find(&entry);
  if (found != in_memory_.end()) return found->second;
  const auto bytes = archive_.read(entry);
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % 8 == 0;
  Storage memory;
  if (aligned && owner_) {
    memory = Storage(const_cast<std::byte*>(bytes.data()), bytes.size(), Device::cpu, owner_);
  } else if (!bytes.empty()) {
    memory = Storage(bytes.size(), Device::cpu);
    std::memcpy(memory.data(), bytes.data(), bytes.size());
  }
  return in_memory_.emplace(&entry, std::move(memory)).first->second;
}

enum class FileKind : uint8_t { unknown, zip, legacy, pickle, tar };

// A safetensors file may hold any bytes that another format is known by, but begins with the size
// of a JSON object.
bool may_be_safetensors(std::span<const std::byte> bytes) {
  uint64_t header = 0;
  if (bytes.size() <= sizeof header) return false;
  std::memcpy(&header, bytes.data(), sizeof header);
  return header <= bytes.size() - sizeof header && bytes[sizeof header] == std::byte{'{'};
}

FileKind kind_of(std::span<const std::byte> bytes) {
  if (may_be_safetensors(bytes)) return FileKind::unknown;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  // A pickle of the number 0x1950a86a20f9469cfc6c.
  if (text.starts_with("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"))
    return FileKind::legacy;
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) return FileKind::zip;
  constexpr size_t kTarMagic = 257;
  if (text.size() > kTarMagic && text.substr(kTarMagic).starts_with("ustar")) return FileKind::tar;
  const bool pickle = text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
  return pickle && text.ends_with('.') ? FileKind::pickle : FileKind::unknown;
}

NamedTensors parse(std::span<const std::byte> bytes, const std::shared_ptr<void>& owner,
                   const std::string& name) {
  const FileKind kind = kind_of(bytes);
  HRM_CHECK(kind != FileKind::legacy, "[pytorch] ", name,
            " has the format before PyTorch 1.6. HINT: in Python, with a newer PyTorch, "
            "torch.save(torch.load('OLD.pt', weights_only=True), 'NEW.pt')");
  HRM_CHECK(kind != FileKind::pickle, "[pytorch] ", name,
            " is a pickle that torch.save has not written", kSaveTensors);
  HRM_CHECK(kind != FileKind::tar, "[pytorch] ", name,
            " is a tar archive. HINT: unpack it (tar -xf) and take the file with the weights");
  HRM_CHECK(kind == FileKind::zip, "[pytorch] ", name, " is no file of PyTorch", kSaveTensors);
  return Reader(bytes, owner, name).read();
}

}  // namespace

bool is_pytorch_file(const Path& path) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(path, none)) return false;
  try {
    return is_pytorch_file(MappedFile(path).bytes());
  } catch (const Error&) {
    return false;  // whoever reads it next says why
  }
}

bool is_pytorch_file(std::span<const std::byte> bytes) {
  return kind_of(bytes) != FileKind::unknown;
}

NamedTensors read_pytorch(const Path& path) {
  const MappedFile file(path);
  return parse(file.bytes(), file.owner(), path.string());
}

NamedTensors parse_pytorch(std::span<const std::byte> bytes, const std::string& name) {
  return parse(bytes, nullptr, name);
}

}  // namespace hrm
