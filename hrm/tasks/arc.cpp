#include "hrm/tasks/arc.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include "hrm/support/text.h"

namespace hrm {
namespace {

constexpr std::array<int, 8> kInverse = {0, 3, 2, 1, 4, 5, 6, 7};
constexpr int kTrialsPerVariant = 5;  // official ARCAugmentRetriesFactor

// Each transform in terms of three: rows reversed, columns reversed, then rows and columns swapped.
struct Dihedral {
  bool rows, cols, swap;
};
constexpr Dihedral kDihedral[8] = {{0, 0, 0}, {0, 1, 1}, {1, 1, 0}, {1, 0, 1},
                                   {0, 1, 0}, {1, 0, 0}, {0, 0, 1}, {1, 1, 1}};

// Where cell (r, c) of an h x w grid goes under transform `id`.
std::pair<int, int> moved(int id, int r, int c, int h, int w) {
  const Dihedral d = kDihedral[id];
  if (d.rows) r = h - 1 - r;
  if (d.cols) c = w - 1 - c;
  return d.swap ? std::pair{c, r} : std::pair{r, c};
}

constexpr auto kKindFields = {std::pair{"rotation", &ArcKinds::rotation},
                              {"flip", &ArcKinds::flip},
                              {"transpose", &ArcKinds::transpose},
                              {"colour", &ArcKinds::colour},
                              {"translation", &ArcKinds::translation}};

// Hashes of a task's variants. A grid's hash is the sum over its cells of key(place) * value(
// colour), so it follows for any colour map from ten sums per transform, without the grid.
class VariantHash {
 public:
  explicit VariantHash(const ArcTask& task) {
    for (const auto* pairs : {&task.train, &task.test})
      for (const ArcPair& p : *pairs) {
        add(p.input);
        add(p.output);
      }
  }
  // Of the multiset of pairs.
  uint64_t operator()(const ArcVariant& v) const {
    static const std::array<uint64_t, 10> values = [] {
      std::array<uint64_t, 10> random;
      for (int c = 0; c < 10; ++c) random[c] = philox_bits(2, c);
      return random;
    }();
    uint64_t total = 0, input = 0;
    for (size_t i = 0; i < sums_.size(); ++i) {
      uint64_t h = 0;
      for (int c = 0; c < 10; ++c) h += sums_[i][v.dihedral][c] * values[v.colours[c]];
      if (i % 2 == 0)
        input = h;
      else
        total += philox_bits(input, h);
    }
    return total;
  }

 private:
  void add(const ArcGrid& g) {
    auto& sums = sums_.emplace_back();
    for (int id = 0; id < 8; ++id) {
      for (int r = 0; r < g.height; ++r)
        for (int c = 0; c < g.width; ++c) {
          const auto [row, col] = moved(id, r, c, g.height, g.width);
          // Grids of different widths share no keys.
          const int width = kDihedral[id].swap ? g.height : g.width;
          sums[id][g.at(r, c)] += philox_bits(1, (width * 32 + row) * 32 + col);
        }
    }
  }
  std::vector<std::array<std::array<uint64_t, 10>, 8>> sums_;  // input, output, input, ...
};

std::vector<ArcPair> parse_pairs(const Json& list, bool outputs_needed, const std::string& where) {
  HRM_CHECK(list.is_array(), "[arc] ", where, " must be a list of pairs");
  std::vector<ArcPair> pairs;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string place = where + "[" + std::to_string(i) + "]";
    HRM_CHECK(list[i].is_object() && list[i].contains("input"), "[arc] ", place,
              " needs an \"input\"");
    ArcPair pair;
    pair.input = parse_grid(list[i]["input"], place + ".input");
    const bool has_output = list[i].contains("output") && !list[i]["output"].is_null();
    HRM_CHECK(has_output || !outputs_needed, "[arc] ", place, " needs an \"output\"");
    if (has_output) pair.output = parse_grid(list[i]["output"], place + ".output");
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

// A combined file: {"id": {"train", "test"}, ...}, the outputs of the tests in `solutions`.
std::vector<ArcTask> parse_combined(const Json& tasks, const Json& solutions,
                                    const std::string& file) {
  std::map<std::string, const Json*> known, ordered;
  for (const auto& [id, outputs] : solutions.items()) known[id] = &outputs;
  for (const auto& [id, task] : tasks.items()) ordered[id] = &task;
  std::vector<ArcTask> all;
  for (const auto& [id, task] : ordered) {
    ArcTask t = parse_arc_task(*task, id, file + ": " + printable(id));
    if (const auto found = known.find(id); found != known.end()) {
      const Json& outputs = *found->second;
      const std::string where = file + ": solution of " + id;
      HRM_CHECK(outputs.is_array(), "[arc] ", where, " must be a list of grids, got ",
                brief(outputs));
      for (size_t i = 0; i < std::min(t.test.size(), outputs.size()); ++i)
        t.test[i].output = parse_grid(outputs[i], where);
    }
    all.push_back(std::move(t));
  }
  return all;
}

}  // namespace

ArcKinds ArcKinds::parse(const std::string& text) {
  ArcKinds kinds;
  if (text == "all") return kinds;
  for (const auto& [name, field] : kKindFields) kinds.*field = false;
  if (text == "none" || text.empty()) return kinds;
  for (const std::string_view word : split(text, ',')) {
    const auto found =
        std::ranges::find_if(kKindFields, [&](const auto& f) { return word == f.first; });
    HRM_CHECK(found != kKindFields.end(),
              "[arc] a kind of augmentation is rotation, flip, transpose, ",
              "colour or translation (or all, or none), got '", word, "'");
    kinds.*found->second = true;
  }
  return kinds;
}

std::string ArcKinds::to_string() const {
  std::string text;
  for (const auto& [name, field] : kKindFields)
    if (this->*field) text += (text.empty() ? "" : ",") + std::string(name);
  return text.empty() ? "none" : text;
}

ArcGrid dihedral_transform(const ArcGrid& g, int id) {
  ArcGrid out = g;
  if (kDihedral[id].swap) std::swap(out.height, out.width);
  for (int r = 0; r < g.height; ++r)
    for (int c = 0; c < g.width; ++c) {
      const auto [row, col] = moved(id, r, c, g.height, g.width);
      out.cells[row * out.width + col] = g.at(r, c);
    }
  return out;
}

std::vector<int> dihedral_sources(int side, int id) {
  std::vector<int> source(side * side);
  for (int r = 0; r < side; ++r)
    for (int c = 0; c < side; ++c) {
      const auto [row, col] = moved(id, r, c, side, side);
      source[row * side + col] = r * side + c;
    }
  return source;
}

ArcVariant ArcVariant::draw(const ArcKinds& kinds, Random& random) {
  std::array<uint8_t, 8> dihedrals = {0};
  int64_t count = 1;
  const auto add = [&](uint8_t first, uint8_t last) {
    for (uint8_t d = first; d <= last; ++d) dihedrals[count++] = d;
  };
  if (kinds.rotation) add(1, 3);
  if (kinds.flip) add(4, 5);
  if (kinds.transpose) add(6, 7);
  ArcVariant v;
  v.dihedral = dihedrals[random.below(count)];
  if (kinds.colour)
    for (int i = 9; i > 1; --i) std::swap(v.colours[i], v.colours[1 + random.below(i)]);
  return v;
}

ArcGrid ArcVariant::apply(const ArcGrid& grid) const {
  ArcGrid mapped = grid;
  for (uint8_t& c : mapped.cells) c = colours[c];
  return dihedral_transform(mapped, dihedral);
}

ArcGrid ArcVariant::undo(const ArcGrid& grid) const {
  std::array<uint8_t, 10> back{};
  for (uint8_t c = 0; c < 10; ++c) back[colours[c]] = c;
  ArcGrid original = dihedral_transform(grid, kInverse[dihedral]);
  for (uint8_t& c : original.cells) c = back[c];
  return original;
}

std::string ArcVariant::name(const std::string& task) const {
  if (identity()) return task;
  std::string digits;
  for (const uint8_t c : colours) digits += static_cast<char>('0' + c);
  return task + "_t" + static_cast<char>('0' + dihedral) + "_" + digits;
}

std::pair<std::string, ArcVariant> parse_variant_name(const std::string& name) {
  constexpr size_t kSuffix = 14;  // _t3_0376254198
  ArcVariant v;
  if (name.size() <= kSuffix) return {name, v};
  const std::string suffix = name.substr(name.size() - kSuffix);
  std::string digits = suffix.substr(4);
  for (int i = 0; i < 10; ++i) v.colours[i] = static_cast<uint8_t>(digits[i] - '0');
  std::ranges::sort(digits);
  const bool fits = suffix.starts_with("_t") && suffix[2] >= '0' && suffix[2] <= '7' &&
                    suffix[3] == '_' && digits == "0123456789";
  if (!fits) return {name, {}};
  v.dihedral = static_cast<uint8_t>(suffix[2] - '0');
  return {name.substr(0, name.size() - kSuffix), v};
}

std::vector<ArcVariant> arc_variants(const ArcTask& task, int64_t wanted, const ArcKinds& kinds,
                                     uint64_t seed) {
  Random random = Random(seed).fork("variants").fork(task.id.c_str());
  const VariantHash hash(task);
  std::vector<ArcVariant> variants = {{}};
  std::unordered_set<uint64_t> seen = {hash({})};
  for (int64_t trial = 0; trial < kTrialsPerVariant * wanted; ++trial) {
    if (std::ssize(variants) > wanted) break;
    const ArcVariant v = ArcVariant::draw(kinds, random);
    if (seen.insert(hash(v)).second) variants.push_back(v);
  }
  return variants;
}

int smallest_canvas(const std::vector<ArcTask>& tasks) {
  int side = 1;
  for (const ArcTask& t : tasks)
    for (const auto* pairs : {&t.train, &t.test})
      for (const ArcPair& p : *pairs)
        for (const ArcGrid* g : {&p.input, &p.output}) side = std::max({side, g->height, g->width});
  return side;
}

void encode_grid(const ArcGrid& grid, int side, int row, int col, int32_t* tokens) {
  std::fill(tokens, tokens + side * side, 0);
  const int bottom = row + grid.height, right = col + grid.width;
  for (int r = 0; r < grid.height; ++r)
    for (int c = 0; c < grid.width; ++c) tokens[(row + r) * side + col + c] = 2 + grid.at(r, c);
  if (grid.empty()) return;
  if (bottom < side) std::fill(tokens + bottom * side + col, tokens + bottom * side + right, 1);
  if (right < side)
    for (int r = row; r < bottom; ++r) tokens[r * side + right] = 1;
}

ArcGrid crop(const int32_t* tokens, int side, int row, int col) {
  int width = side - col;
  ArcGrid best;
  for (int h = 1; row + h <= side; ++h) {
    const int32_t* line = tokens + (row + h - 1) * side + col;
    width = static_cast<int>(
        std::find_if(line, line + width, [](int32_t t) { return t < 2 || t >= kArcVocab; }) - line);
    if (h * width > best.height * best.width) {
      best.height = h;
      best.width = width;
    }
  }
  for (int r = 0; r < best.height; ++r)
    for (int c = 0; c < best.width; ++c)
      best.cells.push_back(static_cast<uint8_t>(tokens[(row + r) * side + col + c] - 2));
  return best;
}

void check_task_id(const std::string& id, const std::string& where) {
  const bool plain = !id.empty() && id.size() <= 200 && printable(id) == id;
  const bool stays = id.find_first_of("/\\") == std::string::npos && !id.starts_with('.') &&
                     !id.starts_with('[') && id.find("..") == std::string::npos;
  HRM_CHECK(plain && stays, "[arc] ", where, ": a task cannot be named '",
            printable(id.substr(0, 200)),
            "'. A name has 1 to 200 bytes of text, without slashes, control characters and "
            "\"..\", and no dot or bracket in front. HINT: rename the task");
}

bool is_combined(const Json& json) {
  return json.is_object() && !json.empty() && !json.contains("train") && !json.contains("test") &&
         json.begin()->is_object() && json.begin()->contains("train");
}

std::vector<ArcTask> parse_arc_file(const Json& json, const Json& solutions, const Path& file) {
  HRM_CHECK(json.is_object() && !json.empty(), "[arc] ", file.string(),
            " must be an object with \"train\" and \"test\"");
  if (is_combined(json)) return parse_combined(json, solutions, file.string());
  return {parse_arc_task(json, file.stem().string(), file.string())};
}

ArcGrid parse_grid(const Json& rows, const std::string& where) {
  HRM_CHECK(rows.is_array() && !rows.empty(), "[arc] ", where, " must be a list of rows");
  ArcGrid grid;
  grid.height = static_cast<int>(rows.size());
  HRM_CHECK(rows.size() <= kArcSide, "[arc] ", where, " has ", rows.size(), " rows, at most ",
            kArcSide, " are possible");
  for (size_t r = 0; r < rows.size(); ++r) {
    const std::string row = where + " row " + std::to_string(r);
    HRM_CHECK(rows[r].is_array() && !rows[r].empty() && rows[r].size() <= kArcSide, "[arc] ", row,
              " must be a list of 1 to ", kArcSide, " colours",
              rows[r].is_array() ? ", got " + std::to_string(rows[r].size()) : "");
    if (r == 0) grid.width = static_cast<int>(rows[r].size());
    HRM_CHECK(static_cast<int>(rows[r].size()) == grid.width, "[arc] ", row, " has ",
              rows[r].size(), " cells, row 0 has ", grid.width);
    for (size_t c = 0; c < rows[r].size(); ++c) {
      const Json& cell = rows[r][c];
      HRM_CHECK(cell.is_number_integer() && cell >= 0 && cell <= 9, "[arc] ", row, " column ", c,
                " is ", brief(cell), ", a colour is 0..9");
      grid.cells.push_back(cell.get<uint8_t>());
    }
  }
  return grid;
}

ArcTask parse_arc_task(const Json& j, const std::string& id, const std::string& where) {
  HRM_CHECK(j.is_object() && j.contains("train") && j.contains("test"), "[arc] ", where,
            " must be an object with \"train\" and \"test\"");
  ArcTask task;
  task.id = Members(j, where).text("name", id);
  check_task_id(task.id, where);
  task.train = parse_pairs(j["train"], true, where + ": train");
  task.test = parse_pairs(j["test"], false, where + ": test");
  HRM_CHECK(!task.train.empty() && !task.test.empty(), "[arc] ", where,
            " needs at least one pair under \"train\" and under \"test\"");
  return task;
}

std::string grid_text(const ArcGrid& grid) {
  std::string text;
  for (int r = 0; r < grid.height; ++r) {
    if (r) text += '/';
    for (int c = 0; c < grid.width; ++c) text += static_cast<char>('0' + grid.at(r, c));
  }
  return text;
}

ArcGrid parse_grid_text(const std::string& text, const std::string& where) {
  ArcGrid grid;
  if (text.empty()) return grid;
  const size_t width = std::min(text.find('/'), text.size());
  grid.width = static_cast<int>(width);
  grid.height = static_cast<int>((text.size() + 1) / (width + 1));
  bool fits = width > 0 && grid.width <= kArcSide && grid.height <= kArcSide &&
              (text.size() + 1) % (width + 1) == 0;
  for (size_t i = 0; fits && i < text.size(); ++i) {
    const bool end = i % (width + 1) == width;
    fits = end ? text[i] == '/' : text[i] >= '0' && text[i] <= '9';
    if (!end) grid.cells.push_back(static_cast<uint8_t>(text[i] - '0'));
  }
  HRM_CHECK(fits, "[arc] ", where, " is no grid: equal rows of digits joined by '/', got '", text,
            "'");
  return grid;
}

std::string canonical_pair(const ArcPair& pair) {
  std::string best;
  for (int id = 0; id < 8; ++id) {
    std::array<char, 10> name = {'0'};
    char next = '1';
    std::string text;
    for (const ArcGrid* grid : {&pair.input, &pair.output}) {
      const ArcGrid g = dihedral_transform(*grid, id);
      for (const uint8_t c : g.cells) {
        if (c && !name[c]) name[c] = next++;
        text += name[c];
      }
      text += "|" + std::to_string(g.width) + "|";
    }
    if (best.empty() || text < best) best = text;
  }
  return best;
}

}  // namespace hrm
