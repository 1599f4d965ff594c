#include "hrm/view/playground_page.h"

#include <string_view>

#include <nlohmann/json.hpp>

#include "hrm/support/json.h"
#include "hrm/support/project_files.h"

namespace hrm {

Path find_playground() {
  const Path file = file_of_project("build/playground/index.html", "playground/index.html");
  if (!file.empty()) return file;
  detail::fail(
      "[playground] the page is not there yet. HINT: `make playground` in a checkout of hrm.cpp "
      "makes it, and `make install` then installs it; --page names another place");
}

std::string with_model(const std::string& page, const std::string& source,
                       const PlaygroundModel& model) {
  constexpr std::string_view kBefore = "<script type=\"application/json\" id=\"models\">[";
  constexpr std::string_view kOwn = R"({"name":"run",)";
  const size_t at = page.find(kBefore);
  HRM_CHECK(at != std::string::npos, "[playground] ", source,
            " is no page of `make playground`. HINT: leave out --page");
  HRM_CHECK(page.compare(at + kBefore.size(), kOwn.size(), kOwn) != 0, "[playground] ", source,
            " has a run in it already. HINT: leave out --page");
  Json entry = {{"name", "run"}, {"label", model.label}, {"encoding", "none"}};
  if (!model.puzzles.empty()) entry["puzzles"] = model.puzzles;
  std::string text = entry.dump();
  // Nothing in a script may look like its end.
  for (size_t i = 0; (i = text.find('<', i)) != std::string::npos;) text.replace(i, 1, "\\u003c");
  text.pop_back();  // the brace: the weights come last, without a copy of them in JSON
  const size_t begin = at + kBefore.size();
  std::string whole = page.substr(0, begin) + text + ",\"weights\":\"";
  whole += base64(model.weights);
  whole += page[begin] == ']' ? "\"}" : "\"},";
  return whole.append(page, begin);
}

std::string base64(std::span<const std::byte> bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](size_t k) {
      return i + k < bytes.size() ? std::to_integer<unsigned>(bytes[i + k]) : 0U;
    };
    const unsigned three = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (int shift = 18; shift >= 0; shift -= 6) text += kDigits[three >> shift & 63];
  }
  for (size_t missing = (3 - bytes.size() % 3) % 3, i = 1; i <= missing; ++i)
    text[text.size() - i] = '=';
  return text;
}

}  // namespace hrm
