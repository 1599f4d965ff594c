#include "tensor/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "kernels/types.h"
#include "tensor/file_text.h"

namespace hrm {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMostBytes = size_t{64} << 20;
constexpr size_t kMostValues = 2'000'000;  // and as many places of the memo
constexpr size_t kMostMarks = 1000;        // that is, tuples and lists within each other
constexpr const char* kOrderedDict = "collections.OrderedDict";

enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kProto = 0x80,
  kFrame = 0x95,
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kBinFloat = 'G',
  kBinUnicode = 'X',
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kBinBytes8 = 0x8e,
  kByteArray8 = 0x96,
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kMemoize = 0x94,
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kReduce = 'R',
  kBuild = 'b',
  kBinPersId = 'Q',
};

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& place,
          std::span<const PickleGlobal> globals)
      : bytes_(bytes), place_(place), globals_(globals) {}

  Pickle run();

 private:
  template <class... Words>
  void check(bool holds, const Words&... words) const {
    HRM_CHECK(holds, "[pickle] ", place_, " at byte ", opcode_at_, ": ", words...);
  }

  // The bytes of the program.
  std::string_view take(uint64_t size);
  std::string_view take_line();
  template <class T>
  T take_number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  // The stack. What lies below the last mark can only be reached once the mark is gone.
  void push(PickleValue value);
  void push_items(Kind kind, std::vector<uint32_t> items);
  uint32_t pop();
  std::vector<uint32_t> pop_last(size_t count);
  std::vector<uint32_t> pop_to_mark();
  PickleValue& top_of(Kind kind, const char* what);

  // Opcodes by what they do; false for one of another group.
  bool run_constant(uint8_t opcode);
  bool run_container(uint8_t opcode);
  bool run_memo(uint8_t opcode);
  bool run_object(uint8_t opcode);
  void push_integer(std::string_view digits);
  void push_global(std::string_view module, std::string_view name);
  void remember(uint32_t place);
  void recall(uint32_t place);
  void reduce();
  void start();

  std::span<const std::byte> bytes_;
  const std::string& place_;
  std::span<const PickleGlobal> globals_;
  size_t at_ = 0, opcode_at_ = 0;
  std::vector<PickleValue> values_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, uint32_t> memo_;
};

std::string_view Machine::take(uint64_t size) {
  check(size <= bytes_.size() - at_, "the pickle ends within a value", kDamaged);
  const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + at_;
  at_ += size;
  return {begin, static_cast<size_t>(size)};
}

std::string_view Machine::take_line() {
  const auto rest = bytes_.subspan(at_);
  const auto end = std::ranges::find(rest, std::byte{'\n'});
  check(end != rest.end(), "the pickle ends within a name", kDamaged);
  const std::string_view line = take(static_cast<uint64_t>(end - rest.begin()));
  ++at_;
  return line;
}

void Machine::push(PickleValue value) {
  check(values_.size() < kMostValues, "the pickle holds more than ", kMostValues, " values",
        kSaveTensors);
  stack_.push_back(static_cast<uint32_t>(values_.size()));
  values_.push_back(std::move(value));
}

void Machine::push_items(Kind kind, std::vector<uint32_t> items) {
  push({.kind = kind, .items = std::move(items)});
}

std::vector<uint32_t> Machine::pop_last(size_t count) {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  check(stack_.size() - floor >= count, "an opcode needs ", count, " values, and ",
        stack_.size() - floor, " are there", kDamaged);
  std::vector<uint32_t> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return items;
}

uint32_t Machine::pop() { return pop_last(1)[0]; }

std::vector<uint32_t> Machine::pop_to_mark() {
  check(!marks_.empty(), "an opcode needs a mark, and there is none", kDamaged);
  std::vector<uint32_t> items = pop_last(stack_.size() - marks_.back());
  marks_.pop_back();
  return items;
}

// The value at the top of the stack, which stays there.
PickleValue& Machine::top_of(Kind kind, const char* what) {
  const uint32_t number = pop();
  stack_.push_back(number);
  check(values_[number].kind == kind, "an opcode is for ", what, ", and there is none", kDamaged);
  return values_[number];
}

// Two's complement, little-endian, of any length.
void Machine::push_integer(std::string_view digits) {
  if (digits.size() > 8) return push({.kind = Kind::other});
  const bool negative = !digits.empty() && (digits.back() & 0x80);
  int64_t value = negative ? -1 : 0;
  std::memcpy(&value, digits.data(), digits.size());
  push({.kind = Kind::integer, .integer = value});
}

bool Machine::run_constant(uint8_t opcode) {
  const auto text = [&](uint64_t size) { push({.kind = Kind::text, .text = take(size)}); };
  const auto other = [&](uint64_t size) {
    take(size);
    push({.kind = Kind::other});
  };
  switch (opcode) {
    case kNone:
      push({.kind = Kind::none});
      return true;
    case kNewTrue:
    case kNewFalse:
      push({.kind = Kind::boolean, .integer = opcode == kNewTrue});
      return true;
    case kBinInt:
      push({.kind = Kind::integer, .integer = take_number<int32_t>()});
      return true;
    case kBinInt1:
      push({.kind = Kind::integer, .integer = take_number<uint8_t>()});
      return true;
    case kBinInt2:
      push({.kind = Kind::integer, .integer = take_number<uint16_t>()});
      return true;
    case kLong1:
      push_integer(take(take_number<uint8_t>()));
      return true;
    case kLong4:
      push_integer(take(take_number<uint32_t>()));
      return true;
    case kBinFloat:
      other(8);
      return true;
    case kBinUnicode:
      text(take_number<uint32_t>());
      return true;
    case kShortBinUnicode:
      text(take_number<uint8_t>());
      return true;
    case kBinUnicode8:
      text(take_number<uint64_t>());
      return true;
    case kBinBytes:
      other(take_number<uint32_t>());
      return true;
    case kShortBinBytes:
      other(take_number<uint8_t>());
      return true;
    case kBinBytes8:
    case kByteArray8:
      other(take_number<uint64_t>());
      return true;
    default:
      return false;
  }
}

bool Machine::run_container(uint8_t opcode) {
  const auto add = [&](Kind kind, const char* what, const std::vector<uint32_t>& items) {
    check(kind != Kind::dict || items.size() % 2 == 0, "a key has no value", kDamaged);
    std::vector<uint32_t>& all = top_of(kind, what).items;
    all.insert(all.end(), items.begin(), items.end());
  };
  switch (opcode) {
    case kMark:
      check(marks_.size() < kMostMarks, "more than ", kMostMarks, " marks are open", kDamaged);
      marks_.push_back(stack_.size());
      return true;
    case kEmptyTuple:
      push_items(Kind::tuple, {});
      return true;
    case kTuple:
      push_items(Kind::tuple, pop_to_mark());
      return true;
    case kTuple1:
    case kTuple2:
    case kTuple3:
      push_items(Kind::tuple, pop_last(opcode - kTuple1 + size_t{1}));
      return true;
    case kEmptyList:
      push_items(Kind::list, {});
      return true;
    case kAppend:
      add(Kind::list, "a list", pop_last(1));
      return true;
    case kAppends:
      add(Kind::list, "a list", pop_to_mark());
      return true;
    case kEmptyDict:
      push_items(Kind::dict, {});
      return true;
    case kSetItem:
      add(Kind::dict, "a dictionary", pop_last(2));
      return true;
    case kSetItems:
      add(Kind::dict, "a dictionary", pop_to_mark());
      return true;
    default:
      return false;
  }
}

void Machine::remember(uint32_t place) {
  const uint32_t number = pop();
  stack_.push_back(number);
  memo_[place] = number;
  check(memo_.size() <= kMostValues, "the pickle remembers more than ", kMostValues, " values",
        kSaveTensors);
}

void Machine::recall(uint32_t place) {
  const auto found = memo_.find(place);
  check(found != memo_.end(), "the memo has no value ", place, kDamaged);
  stack_.push_back(found->second);
}

bool Machine::run_memo(uint8_t opcode) {
  switch (opcode) {
    case kBinPut:
      remember(take_number<uint8_t>());
      return true;
    case kLongBinPut:
      remember(take_number<uint32_t>());
      return true;
    case kMemoize:
      remember(static_cast<uint32_t>(memo_.size()));
      return true;
    case kBinGet:
      recall(take_number<uint8_t>());
      return true;
    case kLongBinGet:
      recall(take_number<uint32_t>());
      return true;
    default:
      return false;
  }
}

void Machine::push_global(std::string_view module, std::string_view name) {
  const auto is = [&](std::string_view full) {
    return full.size() == module.size() + 1 + name.size() && full.starts_with(module) &&
           full[module.size()] == '.' && full.ends_with(name);
  };
  if (is(kOrderedDict)) return push({.kind = Kind::global, .text = kOrderedDict});
  const auto known =
      std::ranges::find_if(globals_, [&](const PickleGlobal& global) { return is(global.name); });
  const std::string full = shown(module) + "." + shown(name);
  check(known != globals_.end(), "the file holds the Python object ", full, ", not only tensors",
        kSaveTensors);
  check(known->refused.empty(), "the file holds ", known->refused, " (", full,
        "), which is not supported. HINT: in Python, make plain tensors of such ones before "
        "torch.save: tensor.to_dense(), tensor.dequantize()");
  push({.kind = Kind::global, .text = known->name});
}

void Machine::reduce() {
  const std::vector<uint32_t> call = pop_last(2);
  const PickleValue& function = values_[call[0]];
  const PickleValue& arguments = values_[call[1]];
  check(function.kind == Kind::global && arguments.kind == Kind::tuple,
        "a call must have a function and a tuple of arguments", kDamaged);
  if (function.text != kOrderedDict) return push_items(Kind::call, call);
  check(arguments.items.empty(), "an OrderedDict must be made empty", kSaveTensors);
  push_items(Kind::dict, {});
}

bool Machine::run_object(uint8_t opcode) {
  switch (opcode) {
    case kGlobal: {
      const std::string_view module = take_line();
      push_global(module, take_line());
      return true;
    }
    case kStackGlobal: {
      const std::vector<uint32_t> names = pop_last(2);
      const PickleValue &module = values_[names[0]], &name = values_[names[1]];
      check(module.kind == Kind::text && name.kind == Kind::text, "a name must be text", kDamaged);
      push_global(module.text, name.text);
      return true;
    }
    case kReduce:
      reduce();
      return true;
    case kBuild:
      // The attributes of a state_dict, such as its _metadata: nothing that is needed here.
      pop();
      top_of(Kind::dict, "a dictionary with attributes");
      return true;
    case kBinPersId:
      push_items(Kind::persistent, pop_last(1));
      return true;
    default:
      return false;
  }
}

void Machine::start() {
  check(bytes_.size() <= kMostBytes, "the pickle has ", bytes_.size(), " bytes; at most ",
        kMostBytes, " are allowed", kSaveTensors);
  const bool proto = bytes_.size() >= 2 && bytes_[0] == std::byte{kProto};
  const auto protocol = proto ? static_cast<unsigned>(bytes_[1]) : 0;
  check(protocol >= 2 && protocol <= 5, "there is no pickle of protocol 2 to 5", kDamaged);
  at_ = 2;
}

Pickle Machine::run() {
  for (start();;) {
    opcode_at_ = at_;
    const auto opcode = take_number<uint8_t>();
    if (opcode == kStop) break;
    if (opcode == kFrame) {
      // Only tells how much to read at once.
      const auto size = take_number<uint64_t>();
      check(size <= bytes_.size() - at_, "a frame of ", size, " bytes reaches beyond the pickle",
            kDamaged);
      continue;
    }
    const bool known =
        run_constant(opcode) || run_container(opcode) || run_memo(opcode) || run_object(opcode);
    check(known, "the file holds more than tensors (opcode ", static_cast<unsigned>(opcode), ")",
          kSaveTensors);
  }
  check(stack_.size() == 1 && marks_.empty(), "the pickle ends with ", stack_.size(),
        " values, not one", kDamaged);
  check(at_ == bytes_.size(), "the pickle ends here, and ", bytes_.size() - at_,
        " bytes are behind it", kDamaged);
  return {std::move(values_), stack_[0]};
}

}  // namespace

Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& place,
                    std::span<const PickleGlobal> globals) {
  return Machine(bytes, place, globals).run();
}

}  // namespace hrm
