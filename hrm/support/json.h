// JSON that comes from a file. The file may be damaged or made by somebody who means harm, so
// everything is checked here, once: what `read_json` returns is valid, flat enough for every
// recursion, and no object in it has a member twice. Members are taken through `Members`, which
// checks the type and the range. Every Error is one line that names the file and what is wrong.
//
//     const Json json = read_json("data/mine/task.json");
//     const Members members(json, "data/mine/task.json");
//     const int64_t side = members.integer("side", 1, 30);   // an Error names the file and 'side'
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "tensor/io.h"

namespace hrm {

// Members stay in the order in which they were written.
using Json = nlohmann::ordered_json;

inline constexpr int kMaxJsonDepth = 64;  // lists and objects in each other
inline constexpr size_t kMaxJsonBytes = size_t{256} * 1024 * 1024;  // of a file

// Errors name `source`.
Json parse_json(std::string_view text, const std::string& source);
Json read_json(const Path& path);

// Files of JSON lines: an object a line, written by appending. `visit` is called for each. A last
// line without its end was cut off while it was written and is left out, empty lines are too. Any
// other damaged line is an Error that names it, or, if `on_damage` is given, told to it and left
// out.
// `where` names the file and the line.
using LineVisitor = std::function<void(const Json& line, const std::string& where)>;
using DamageVisitor = std::function<void(const std::string& what)>;
void for_each_line(std::string_view text, const std::string& source, const LineVisitor& visit,
                   const DamageVisitor& on_damage = {});
void for_each_line(const Path& path, const LineVisitor& visit, const DamageVisitor& on_damage = {});

// A value as an error shows it: short, on one line, in ASCII.
std::string brief(const Json& value);

// A list of whole numbers low..high; `what` names it in errors ("FILE: 'tokens'").
std::vector<int64_t> integers_of(const Json& list, int64_t low, int64_t high,
                                 const std::string& what);

// The members of a JSON object. Each is checked when it is taken; an Error names the source, the
// member, what it must be and what it is. A member that is null counts as absent.
class Members {
 public:
  // Throws unless `json` is an object, which must outlive this.
  Members(const Json& json, std::string source);
  Members(Json&& json, std::string source) = delete;

  bool has(const std::string& key) const;
  // An absent member gives the fallback, or an Error if there is none.
  int64_t integer(const std::string& key, int64_t low, int64_t high,
                  std::optional<int64_t> fallback = {}) const;
  // Any whole number from 0 that fits 64 bits: a seed, a position in random numbers.
  uint64_t natural(const std::string& key) const;
  double number(const std::string& key, double low, double high,
                std::optional<double> fallback = {}) const;
  bool flag(const std::string& key, std::optional<bool> fallback = {}) const;
  std::string text(const std::string& key, std::optional<std::string> fallback = {}) const;
  // Numbers of a list.
  std::vector<int64_t> integers(const std::string& key, int64_t low, int64_t high) const;
  std::vector<double> numbers(const std::string& key, double low, double high) const;
  // Members that hold more. The list or object must be there.
  const Json& list(const std::string& key) const;
  Members object(const std::string& key) const;

  const Json& json() const { return json_; }
  const std::string& source() const { return source_; }

 private:
  const Json& at(const std::string& key) const;
  [[noreturn]] void reject(const std::string& key, const std::string& must) const;

  const Json& json_;
  std::string source_;
};

}  // namespace hrm
