// Parts of the work of a farm.
#include "hrm/support/shard.h"
#include "tests/support/support.h"

namespace hrm::test {
namespace {

TEST_CASE("shard: what is a part of the work, and what is not") {
  REQUIRE(Shard::parse("2/4"));
  CHECK(Shard::parse("2/4")->index == 2);
  CHECK(Shard::parse("2/4")->count == 4);
  CHECK(Shard::parse("2/4")->text() == "2/4");
  CHECK(Shard::parse("1/1")->is_whole());
  for (const char* text : {"", "/", "2", "2/", "/4", "0/4", "5/4", "-1/4", "1/-4", "1/0", "2/4/6",
                           " 2/4", "2/4 ", "2.0/4", "a/b", "1/99999999999999999999", "1/1000001"})
    CHECK_MESSAGE(!Shard::parse(text), text);
}

TEST_CASE("shard: every work belongs to one of them, and they are equally large") {
  constexpr int64_t kWorks = 23;
  for (const int64_t count : {1, 2, 4, 23, 30}) {
    std::vector<int64_t> sizes;
    std::vector<int> owners(kWorks, 0);
    for (int64_t index = 1; index <= count; ++index) {
      const Shard shard = {index, count};
      sizes.push_back(0);
      for (int64_t i = 0; i < kWorks; ++i) {
        sizes.back() += shard.has(i);
        owners[i] += shard.has(i);
      }
    }
    CHECK(owners == std::vector<int>(kWorks, 1));
    const auto [least, most] = std::ranges::minmax(sizes);
    CHECK(most - least <= 1);
  }
}

TEST_CASE("shard: results of all are found, and nothing else") {
  const TempDir dir;
  const Path at = dir.path();
  CHECK(results_of_all(at / "missing").empty());
  const Path whole = Shard().results(at), second = Shard{2, 4}.results(at),
             tenth = Shard{10, 12}.results(at);
  CHECK(whole == at / "results.jsonl");
  CHECK(second == at / "results.2-of-4.jsonl");
  for (const Path& file : {tenth, second, whole}) write_file_atomically(file, "{}\n");
  for (const char* other : {"results.old.jsonl", "results.5-of-4.jsonl", "results.2-of-4.jsonl.tmp",
                            "results.2-of-4-of-6.jsonl", "table.jsonl", "results..jsonl"})
    write_file_atomically(at / other, "{}\n");
  std::filesystem::create_symlink(at / "nowhere", at / "results.1-of-4.jsonl");
  std::filesystem::create_directory(at / "results.3-of-4.jsonl");
  CHECK(results_of_all(at) == std::vector<Path>{whole, second, tenth});
  CHECK(results_name(at) == (at / "results.*").string());
  CHECK(results_text(whole) == "{}\n");
  write_file_atomically(second, "");
  CHECK(results_text(second).empty());
  CHECK_THROWS_WITH_AS(results_text(at / "missing"), doctest::Contains("No such file"), Error);
  std::filesystem::remove(second);
  std::filesystem::remove(tenth);
  CHECK(results_name(at) == whole.string());
  CHECK(Shard().lock(at) == at);
  CHECK(Shard{2, 4}.lock(at) == at / "shards" / "2-of-4");
  std::filesystem::create_directory(at / "elsewhere");
  std::filesystem::create_symlink(at / "elsewhere", at / "shards");
  CHECK_THROWS_WITH_AS((Shard{2, 4}.lock(at)), doctest::Contains("shards is a symbolic link"),
                       Error);
}

}  // namespace
}  // namespace hrm::test
