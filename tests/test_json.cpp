// Files of JSON and of JSON lines, and the members taken from them: anything but what is asked for
// must be one line that names the file and the place.
#include <fstream>

#include <nlohmann/json.hpp>

#include "hrm/support/json.h"
#include "tests/support/support.h"

namespace hrm {
namespace {

using test::expect_error;
using test::TempDir;

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST_CASE("json: values of every kind, members in their order") {
  const Json json =
      parse_json(R"({"b": [1, -2, 0.5, true, null, "\u00e9"], "a": {}, "": []})", "x");
  CHECK(json.dump() == "{\"b\":[1,-2,0.5,true,null,\"\xC3\xA9\"],\"a\":{},\"\":[]}");
  CHECK(parse_json(" 7 ", "x") == 7);
  CHECK(parse_json("\"text\"", "x") == "text");
  CHECK(parse_json("18446744073709551615", "x").get<uint64_t>() == 18446744073709551615u);
}

TEST_CASE("json: what is no JSON is one line that names the source") {
  for (const char* text : {"", "{", "[1,]", "nul", "[1] 2", "{\"a\" 1}", "\"a\nb\"", "1e999"})
    expect_error([&] { parse_json(text, "some/file.json"); },
                 "[json] some/file.json is not valid JSON: ");
  expect_error([] { parse_json("\"\xff\"", "f"); }, "ill-formed UTF-8");
  expect_error([] { parse_json("\"\xed\xa0\x80\"", "f"); }, "ill-formed UTF-8");
  expect_error([] { parse_json(R"({"a": {"k": 1, "j": 2, "k": 3}})", "f"); },
               "[json] f: an object has two members 'k'");
}

TEST_CASE("json: 64 levels can be read, deeper ones are refused, 100,000 as well") {
  const auto nested = [](const std::string& open, const std::string& close, int depth) {
    return repeated(open, depth) + "1" + repeated(close, depth);
  };
  CHECK(parse_json(nested("[", "]", kMaxJsonDepth), "f").is_array());
  CHECK(parse_json(nested("{\"a\":", "}", kMaxJsonDepth), "f").is_object());
  for (const int depth : {kMaxJsonDepth + 1, 100'000}) {
    const std::string why = "[json] f is nested more than 64 levels deep";
    expect_error([&] { parse_json(nested("[", "]", depth), "f"); }, why);
    expect_error([&] { parse_json(nested("{\"a\":", "}", depth), "f"); }, why);
    expect_error([&] { parse_json(repeated("[", depth), "f"); }, why);
  }
}

TEST_CASE("json: an object of many members takes no longer than a list of as many values") {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += (i ? ",\"" : "\"") + std::to_string(i) + "\":0";
  CHECK(parse_json(text + "}", "f").size() == 200'000);
}

TEST_CASE("json: a file is named in errors, whether absent, a folder or damaged") {
  const TempDir dir;
  write_file_atomically(dir / "good.json", std::string("{\"a\": 1}"));
  write_file_atomically(dir / "bad.json", std::string("{\"a\": 1"));
  CHECK(read_json(dir / "good.json")["a"] == 1);
  expect_error([&] { read_json(dir / "bad.json"); }, "bad.json is not valid JSON");
  expect_error([&] { read_json(dir / "none.json"); }, "none.json");
  expect_error([&] { read_json(dir.path()); }, "is not a regular file");
  std::ofstream(dir / "large.json").close();
  std::filesystem::resize_file(dir / "large.json", kMaxJsonBytes + 1);  // takes no disk
  expect_error([&] { read_json(dir / "large.json"); },
               "large.json has 268435457 bytes, at most 268435456 are read");
}

TEST_CASE("json lines: each is visited, a last line that was cut off is not") {
  std::vector<int> seen;
  const auto visit = [&](const Json& line, const std::string&) { seen.push_back(line["a"]); };
  for_each_line("{\"a\": 1}\n\n \r\n{\"a\": 2}\r\n{\"a\": 3", "f", visit);
  CHECK(seen == std::vector{1, 2});
  for_each_line("", "f", visit);
  CHECK(seen.size() == 2);
}

TEST_CASE("json lines: a damaged line is an error with its number, or told and left out") {
  const auto nothing = [](const Json&, const std::string&) {};
  const std::string text = "{\"a\": 1}\n{\"a\": {\"a\": 2}\n[3]\n{\"a\": 4}\n";
  expect_error([&] { for_each_line(text, "m.jsonl", nothing); },
               "[json] m.jsonl line 2 is not valid JSON");
  expect_error([&] { for_each_line("\n7\n", "m.jsonl", nothing); },
               "m.jsonl line 2 must be an object, got 7. HINT: remove this line");
  std::vector<int> seen;
  std::vector<std::string> damaged;
  for_each_line(
      text, "m.jsonl", [&](const Json& line, const std::string&) { seen.push_back(line["a"]); },
      [&](const std::string& what) { damaged.push_back(what); });
  CHECK(seen == std::vector{1, 4});
  REQUIRE(damaged.size() == 2);
  CHECK(damaged[1].find("line 3 must be an object") != std::string::npos);
}

TEST_CASE("json: members are taken with type and range, or the error says what is there") {
  const Json json = parse_json(
      R"({"i": 5, "big": 18446744073709551615, "d": 0.5, "b": true, "t": "x", "n": null,
          "l": [1, 2], "o": {"i": 6}, "m": [1, 2, 3, 4, 5, 6, 7, 8, 9]})",
      "f");
  const Members m(json, "f.json");
  CHECK(m.integer("i", 0, 5) == 5);
  CHECK(m.number("d", 0, 1) == 0.5);
  CHECK(m.number("i", 0, 10) == 5);
  CHECK(m.flag("b"));
  CHECK(m.text("t") == "x");
  CHECK(m.integers("l", 1, 2) == std::vector<int64_t>{1, 2});
  CHECK(m.numbers("l", 1, 2) == std::vector<double>{1, 2});
  CHECK(m.object("o").integer("i", 0, 10) == 6);
  CHECK(m.list("l").size() == 2);
  CHECK_FALSE(m.has("n"));
  CHECK_FALSE(m.has("none"));
  CHECK(m.integer("n", 0, 1, 7) == 7);
  CHECK(m.text("none", "y") == "y");
  CHECK(m.natural("big") == UINT64_MAX);
  CHECK(m.natural("i") == 5);

  const auto fails = [&](const auto& take, const std::string& why) {
    expect_error([&] { take(m); }, why);
  };
  using M = const Members&;
  fails([](M x) { x.integer("none", 0, 1); }, "[json] f.json needs a member 'none'");
  fails([](M x) { x.integer("n", 0, 1); }, "'n' must be a whole number in 0..1, got null");
  fails([](M x) { x.integer("i", 0, 4); }, "'i' must be a whole number in 0..4, got 5");
  fails([](M x) { x.integer("i", 6, 9, 7); }, "'i' must be a whole number in 6..9, got 5");
  fails([](M x) { x.integer("d", 0, 4); }, "'d' must be a whole number in 0..4, got 0.5");
  fails([](M x) { x.integer("b", 0, 4); }, "got true");
  fails([](M x) { x.integer("big", 0, INT64_MAX); }, "of at least 0, got 18446744073709551615");
  fails([](M x) { x.natural("d"); }, "'d' must be a whole number from 0, got 0.5");
  fails([](M x) { x.number("d", 1, 2); }, "'d' must be a number in 1..2, got 0.5");
  fails([](M x) { x.number("t", 1, 2); }, "got \"x\"");
  fails([](M x) { x.flag("i"); }, "'i' must be true or false, got 5");
  fails([](M x) { x.text("m"); }, "'m' must be text, got a list of 9 values");
  fails([](M x) { x.list("o"); }, "'o' must be a list, got {\"i\":6}");
  fails([](M x) { x.object("l"); }, "[json] f.json: 'l' must be a JSON object, got [1,2]");
  fails([](M x) { x.integers("l", 0, 1); }, "'l' must hold whole numbers in 0..1, got 2");
  fails([](M x) { x.numbers("l", 0, 1); }, "'l' must hold numbers in 0..1, got 2");
  const Json list = Json::array();
  expect_error([&] { Members(list, "f.json"); }, "[json] f.json must be a JSON object, got []");
}

}  // namespace
}  // namespace hrm
