// Python pickles, read without running anything. A pickle is a program for a small stack machine,
// and in Python it may call any function there is. This machine only writes down what the program
// says: a call becomes a value that names its function and its arguments, and functions that the
// caller has not listed are refused by name. What the values mean is the caller's business.
//
// It knows the opcodes that torch.save emits, of protocols 2 to 5; all others are refused. Bounds:
// a pickle of 64 MiB and two million values. Values refer to each other by number, so that one
// which contains itself needs no care here. Who walks through them must bound the depth and the
// number of steps: a few bytes can describe a tree of any size.
//
// The opcodes are those of Lib/pickletools.py of CPython.
//
//     const MappedFile file("data.pkl");   // tensor/io.h
//     const std::array<PickleGlobal, 1> allowed = {{{"torch.FloatStorage"}}};
//     const Pickle pickle = parse_pickle(file.bytes(), "data.pkl", allowed);
//     for (const uint32_t item : pickle.root().items) show(pickle.values[item]);
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hrm {

struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    other,  // a float, an integer beyond 64 bits, a string of bytes: only that it is there
    text,
    tuple,
    list,
    dict,        // also an OrderedDict
    global,      // a function or a class
    call,        // what `items[0]` makes of the tuple `items[1]`
    persistent,  // what stands outside the pickle under the name `items[0]`
  };
  Kind kind = Kind::none;
  int64_t integer = 0;  // of an integer
  std::string_view text =
      {};  // of a text: a part of the pickle. Of a global: its PickleGlobal::name
  std::vector<uint32_t> items = {};  // numbers of values; of a dict, keys and their values in turns
};

struct Pickle {
  std::vector<PickleValue> values;
  uint32_t root_number = 0;
  const PickleValue& root() const { return values[root_number]; }
};

// A name that a pickle may refer to, "module.name". With `refused`, it is known and still refused:
// as this, such as "a sparse tensor".
struct PickleGlobal {
  std::string_view name;
  std::string_view refused = {};
};

// Errors name `place` and the byte. `bytes` and `globals` must outlive the result.
// collections.OrderedDict need not be listed.
Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& place,
                    std::span<const PickleGlobal> globals);

}  // namespace hrm
