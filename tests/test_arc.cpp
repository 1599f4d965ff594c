// ARC tasks: variants, sequences, votes, the audit, pictures, and the published sets.
#include <set>

#include <nlohmann/json.hpp>

#include "hrm/tasks/arc.h"
#include "hrm/tasks/arc_audit.h"
#include "hrm/tasks/arc_files.h"
#include "hrm/tasks/arc_vote.h"
#include "hrm/view/picture.h"
#include "tests/support/arc.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

namespace {

std::vector<int> answer_tokens(const ArcExamples& arc, int64_t i, const ArcGrid& answer) {
  const auto w = arc.where(i);
  const auto [row, col] = arc.offset(i);
  std::vector<int> tokens(arc.side() * arc.side());
  encode_grid(arc.variant(w.task, w.variant).apply(answer), static_cast<int>(arc.side()), row, col,
              tokens.data());
  return tokens;
}

}  // namespace

TEST_CASE("arc: every variant of a grid is undone") {
  Random random(1);
  std::set<int> dihedrals;
  for (int i = 0; i < 300; ++i) {
    const ArcGrid g = random_arc_grid(random, 30);
    const ArcVariant v = ArcVariant::draw({}, random);
    dihedrals.insert(v.dihedral);
    CHECK(v.undo(v.apply(g)) == g);
    CHECK(v.colours[0] == 0);
    const auto [task, parsed] = parse_variant_name(v.name("a_t1_task"));
    CHECK(task == "a_t1_task");
    CHECK(parsed == v);
  }
  CHECK(dihedrals.size() == 8);
  CHECK(parse_variant_name("short").first == "short");
  CHECK(parse_variant_name("x_t3_0376254199").first == "x_t3_0376254199");  // no permutation
}

TEST_CASE("arc: kinds of augmentation switch separately") {
  Random random(2);
  const auto dihedrals = [&](const char* kinds) {
    std::set<int> seen;
    for (int i = 0; i < 200; ++i)
      seen.insert(ArcVariant::draw(ArcKinds::parse(kinds), random).dihedral);
    return seen;
  };
  CHECK(dihedrals("rotation") == std::set<int>{0, 1, 2, 3});
  CHECK(dihedrals("flip,colour") == std::set<int>{0, 4, 5});
  CHECK(dihedrals("transpose") == std::set<int>{0, 6, 7});
  CHECK(dihedrals("none") == std::set<int>{0});
  CHECK(ArcVariant::draw(ArcKinds::parse("rotation"), random).colours == ArcVariant{}.colours);
  CHECK(ArcKinds::parse("colour,flip").to_string() == "flip,colour");
  CHECK(ArcKinds::parse(ArcKinds{}.to_string()).translation);
  expect_error([] { ArcKinds::parse("rotation,shear"); }, "got 'shear'");
}

TEST_CASE("arc: variants of a task differ, as far as the task allows") {
  Random random(4);
  ArcTask one;  // a single black cell: every variant is the task itself
  one.id = "one";
  one.train = one.test = {{ArcGrid{1, 1, {0}}, ArcGrid{1, 1, {0}}}};
  CHECK(arc_variants(one, 50, {}, 0).size() == 1);
  ArcTask red = one;  // a red cell: nine colours
  red.train[0].input.cells[0] = 2;
  CHECK(arc_variants(red, 50, {}, 0).size() == 9);
  ArcTask line = one;  // two cells, red and black: nine colours in four directions
  line.train[0].input = {1, 2, {2, 0}};
  CHECK(arc_variants(line, 200, {}, 0).size() == 36);
  const ArcTask task = random_arc_task("task", false, random);
  const auto many = arc_variants(task, 100, {}, 7), few = arc_variants(task, 10, {}, 7);
  std::set<std::vector<ArcPair>> different;
  for (const ArcVariant& v : many) {
    std::vector<ArcPair> pairs;
    for (const ArcPair& p : task.train) pairs.push_back(v.apply(p));
    different.insert(pairs);
  }
  CHECK(many.size() == 101);
  CHECK(different.size() == 101);
  CHECK(std::equal(few.begin(), few.end(), many.begin()));
  CHECK(arc_variants(task, 10, {}, 8) != few);
}

TEST_CASE("arc: crop returns what encode wrote, and the first largest rectangle otherwise") {
  Random random(5);
  std::vector<int32_t> tokens(900);
  for (int i = 0; i < 200; ++i) {
    const ArcGrid g = random_arc_grid(random, 30);
    encode_grid(g, 30, 0, 0, tokens.data());
    CHECK(crop(tokens.data(), 30) == g);
    const int row = static_cast<int>(random.below(31 - g.height));
    const int col = static_cast<int>(random.below(31 - g.width));
    encode_grid(g, 30, row, col, tokens.data());
    CHECK(crop(tokens.data(), 30, row, col) == g);
    if (row > 0 || col > 0) CHECK(crop(tokens.data(), 30).empty());
  }
  const ArcGrid g{1, 2, {3, 4}};
  encode_grid(g, 3, 1, 0, tokens.data());
  CHECK(std::vector<int>(tokens.begin(), tokens.begin() + 9) ==
        std::vector<int>{0, 0, 0, 5, 6, 1, 1, 1, 0});
}

TEST_CASE("arc: votes are counted, undone and ranked; scores follow three rules") {
  const ArcData data = small_arc_data(3);
  const ArcExamples arc(data, "test", {});
  Voting voting(arc);
  const ArcGrid wrong{1, 1, {7}};
  // Task bbbb: both tests right in all votes but one. cccc: the first test right in second place.
  for (int64_t i = arc.num_examples() - 1; i >= 0; --i) {  // rows may finish in any order
    const auto w = arc.where(i);
    const ArcGrid& truth = arc.pairs(w.task)[w.pair].output;
    const bool first_task = w.task == 1;
    const bool right = first_task ? w.variant > 0 : w.pair == 0 && w.variant < 2;
    voting.add(i, answer_tokens(arc, i, right ? truth : wrong), right ? 0.0 : 1.0);
  }
  REQUIRE(voting.outcomes().size() == 2);
  const auto outcomes = voting.outcomes();
  const auto& b = outcomes[0].task == "bbbb" ? outcomes[0] : outcomes[1];
  const auto& c = outcomes[0].task == "bbbb" ? outcomes[1] : outcomes[0];
  CHECK(b.tests[0].rank == 1);
  CHECK(b.tests[0].best[0].count == 3);
  CHECK(b.tests[0].best[0].mean_q == doctest::Approx(0.5));
  CHECK(c.tests[0].rank == 2);  // two votes each, and the wrong one has the higher q
  CHECK(c.tests[1].rank == 0);
  const ArcScores s = score_tasks(outcomes);
  CHECK(s.all_tests[0] == 0.5);
  CHECK(s.fraction[0] == 0.5);
  CHECK(s.fraction[1] == 0.75);
  CHECK(s.outputs[1] == 0.75);
  CHECK(s.low < 0.5);
  CHECK(s.high > 0.5);
  const Json sub = submission(outcomes);
  CHECK(sub["bbbb"].size() == 2);
  CHECK(sub["cccc"][0].contains("attempt_2"));
  // Equal count and q: the one seen first.
  Votes tie;
  tie.add(wrong, 0, 5);
  tie.add({1, 1, {3}}, 0, 2);
  CHECK(tie.ranking()[0].grid.cells[0] == 3);
  CHECK(outcome_of(tie, {}).known == false);
}

TEST_CASE("arc: the audit finds shared pairs up to augmentation, and shared tasks") {
  Random random(21);
  std::vector<ArcTask> tasks = {random_arc_task("train", false, random),
                                random_arc_task("eval", true, random)};
  CHECK(audit_arc(tasks).pairs.empty());
  CHECK(audit_arc(tasks).checked == 2);
  ArcVariant v;
  v.dihedral = 3;
  v.colours = {0, 4, 3, 2, 1, 9, 8, 7, 6, 5};
  tasks[0].train[1] = v.apply(tasks[1].test[0]);
  ArcAudit audit = audit_arc(tasks);
  REQUIRE(audit.pairs.size() == 1);
  CHECK(audit.pairs[0].task == "eval");
  CHECK(audit.pairs[0].test == 0);
  CHECK(audit.pairs[0].found_in == "train");
  // A pair with an equal output alone is counted, but not listed.
  tasks[0].train[1] = {random_arc_grid(random), tasks[1].test[1].output};
  audit = audit_arc(tasks);
  CHECK(audit.pairs.empty());
  CHECK(audit.equal_outputs == 1);
  tasks.push_back(random_arc_task("eval", false, random));
  CHECK(audit_arc(tasks).tasks.size() == 1);
}

TEST_CASE("arc: pictures hold every cell") {
  const Sheet sheet = {{"title <1>", {{"input", ArcGrid{2, 3, {0, 1, 2, 3, 4, 5}}}, {"none", {}}}}};
  CHECK(sheet_text(sheet, false).find("3 4 5") != std::string::npos);
  const std::string svg = sheet_svg(sheet);
  size_t cells = 0;
  for (size_t at = 0; (at = svg.find("<rect", at)) != std::string::npos; ++at) ++cells;
  CHECK(cells == 6);
  CHECK(svg.find("#FFDC00") != std::string::npos);
  CHECK(svg.find("title &lt;1&gt;") != std::string::npos);
}

TEST_CASE("arc: all real tasks parse and come back from 100 variants and from their tokens") {
  const fs::path root = data_dir();
  if (!fs::exists(root / "arc-agi-1")) SKIP("no ARC tasks in " << root);
  size_t files = 0;
  std::vector<int32_t> tokens(900);
  for (const char* set : {"arc-agi-1", "arc-agi-2", "conceptarc"}) {
    const auto tasks = load_all_arc({root / set});
    files += tasks.size();
    for (const ArcTask& t : tasks) {
      Random random = Random(1).fork(t.id.c_str());
      for (const auto* pairs : {&t.train, &t.test})
        for (const ArcPair& p : *pairs)
          for (const ArcGrid* g : {&p.input, &p.output}) {
            encode_grid(*g, 30, 0, 0, tokens.data());
            REQUIRE(crop(tokens.data(), 30) == *g);
          }
      for (int i = 0; i < 100; ++i) {
        const ArcVariant v = ArcVariant::draw({}, random);
        for (const ArcPair& p : t.train) {
          REQUIRE(v.undo(v.apply(p.input)) == p.input);
          REQUIRE(v.undo(v.apply(p.output)) == p.output);
        }
        for (const ArcPair& p : t.test) REQUIRE(v.undo(v.apply(p.output)) == p.output);
      }
    }
  }
  CHECK(files == 2080);
}

TEST_CASE("arc: the official sets give the known numbers") {
  const fs::path root = data_dir();
  if (!fs::exists(root / "arc-agi-1")) SKIP("no ARC tasks in " << root);
  int64_t repeated = 0;
  const auto tasks = load_arc({root / "arc-agi-1", root / "conceptarc"}, &repeated);
  CHECK(tasks.size() == 960);
  int64_t short_of = 0;
  for (const ArcTask& t : tasks) short_of += arc_variants(t, 1000, {}, 0).size() < 1001;
  CHECK(short_of == 164);
  const ArcAudit one = audit_arc(load_all_arc({root / "arc-agi-1"}));
  CHECK(one.checked == 419);
  CHECK(std::any_of(one.pairs.begin(), one.pairs.end(), [](const auto& leak) {
    return leak.task == "070dd51e" && leak.found_in == "40853293";
  }));
  CHECK(audit_arc(load_all_arc({root / "arc-agi-1", root / "arc-agi-2"})).tasks.size() == 376);
  CHECK(audit_arc(load_all_arc({root / "arc-agi-2"})).pairs.empty());
  load_arc({root / "arc-agi-1", root / "arc-agi-2"}, &repeated);
  CHECK(repeated == 773);
}
