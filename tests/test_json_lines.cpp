// Files that only grow: whole lines or none, and no failure in silence.
#include "hrm/support/json_lines.h"
#include "tests/support/limits.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

TEST_CASE("json lines: each call is one line") {
  const TempDir dir;
  append_json_line(dir / "a.jsonl", "{\"a\":1}");
  append_json_line(dir / "a.jsonl", "{\"a\":2}");
  CHECK(read_file(dir / "a.jsonl") == "{\"a\":1}\n{\"a\":2}\n");
}

TEST_CASE("json lines: a line that a killed process left unfinished is removed") {
  const TempDir dir;
  const auto after = [&](const std::string& before) {
    write_file_atomically(dir / "a.jsonl", before);
    append_json_line(dir / "a.jsonl", "{}");
    return read_file(dir / "a.jsonl");
  };
  CHECK(after("{\"a\":1}\n{\"a\":") == "{\"a\":1}\n{}\n");
  CHECK(after("{\"a\":") == "{}\n");
  CHECK(after("{\"a\":1}\n") == "{\"a\":1}\n{}\n");
  CHECK(after("") == "{}\n");
  // Only the line break is missing: nothing is lost.
  CHECK(after("{\"a\":1}") == "{\"a\":1}\n{}\n");
  CHECK(after("{\"a\":1}\n{\"a\":2}") == "{\"a\":1}\n{\"a\":2}\n{}\n");
}

TEST_CASE("json lines: what cannot be written is an error with file and reason") {
  const TempDir dir;
  expect_error([] { append_json_line("/dev/full", "{}"); },
               "[write] cannot write /dev/full: No space left on device");
  expect_error([&] { append_json_line(dir / "none/a.jsonl", "{}"); },
               "none/a.jsonl: No such file or directory");
  expect_error([&] { append_json_line(dir.path(), "{}"); }, "Is a directory");
}

TEST_CASE("json lines: a symbolic link is not followed") {
  const TempDir dir;
  write_file_atomically(dir / "precious", "text");
  fs::create_symlink(dir / "precious", dir / "a.jsonl");
  expect_error([&] { append_json_line(dir / "a.jsonl", "{}"); },
               "a.jsonl is a symbolic link. HINT: remove it");
  CHECK(read_file(dir / "precious") == "text");
}

TEST_CASE("json lines: where a line does not fit, the file stays as it was") {
  const TempDir dir;
  append_json_line(dir / "a.jsonl", "{\"a\":1}");
  std::string message;
  try {
    const FullDisk full(100);
    append_json_line(dir / "a.jsonl", "\"" + std::string(200, 'x') + "\"");
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message == "[write] cannot write " + (dir / "a.jsonl").string() + ": File too large");
  CHECK(read_file(dir / "a.jsonl") == "{\"a\":1}\n");
}
