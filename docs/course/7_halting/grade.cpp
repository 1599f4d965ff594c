#include "docs/course/grade.h"

#include "docs/course/7_halting/exercise.h"

namespace hrm::course {
namespace {

const Rule kTraining{.max_steps = 8, .training = true, .exploration = 0.25};

// A puzzle that would like to stop, or to go on, and does not explore.
Row wants_to_stop(int32_t steps) { return {.steps = steps, .q_halt = 2, .q_continue = -1}; }
Row wants_to_go_on(int32_t steps) { return {.steps = steps, .q_halt = -1, .q_continue = 2}; }

// The same, exploring with so many segments.
Row exploring(Row row, int32_t min_steps) {
  row.u = 0.1;
  row.min_steps = min_steps;
  return row;
}

double sigmoid(double q) { return 1 / (1 + std::exp(-q)); }

// Segments until a puzzle halts that wants to stop from the first segment on.
int32_t segments_taken(Row row, const Rule& rule) {
  row.steps = next_steps(7, true);
  while (!halts(row, rule) && row.steps < 100) row.steps = next_steps(row.steps, false);
  return row.steps;
}

}  // namespace

TEST_CASE("halts: in training when q_halt is larger than q_continue") {
  CHECK(halts(wants_to_stop(3), kTraining));
  CHECK(!halts(wants_to_go_on(3), kTraining));
}

TEST_CASE("halts: the two are compared with each other, not with 0") {
  CHECK(halts({.steps = 3, .q_halt = -1, .q_continue = -2}, kTraining));
  CHECK(!halts({.steps = 3, .q_halt = 1, .q_continue = 2}, kTraining));
}

TEST_CASE("halts: if both are equal it goes on") {
  CHECK(!halts({.steps = 3, .q_halt = 1, .q_continue = 1}, kTraining));
}

TEST_CASE("halts: always at max_steps, whatever the Q head says") {
  CHECK(!halts(wants_to_go_on(7), kTraining));
  CHECK(halts(wants_to_go_on(8), kTraining));
}

TEST_CASE("halts: in evaluation at max_steps only") {
  Rule evaluation = kTraining;
  evaluation.training = false;
  CHECK(!halts(wants_to_stop(7), evaluation));
  CHECK(halts(wants_to_stop(8), evaluation));
}

TEST_CASE("halts: a puzzle that explores does not stop before min_steps") {
  CHECK(!halts(exploring(wants_to_stop(3), 4), kTraining));
  CHECK(halts(exploring(wants_to_stop(4), 4), kTraining));
}

TEST_CASE("halts: exploring does not stop a puzzle that wants to go on") {
  CHECK(!halts(exploring(wants_to_go_on(4), 4), kTraining));
  CHECK(!halts(exploring(wants_to_go_on(5), 4), kTraining));
}

TEST_CASE("halts: min_steps counts only for the share that explores") {
  Row row = exploring(wants_to_stop(3), 6);
  row.u = 0.25;  // not below the share
  CHECK(halts(row, kTraining));
  row.u = 0.2499;
  CHECK(!halts(row, kTraining));
}

TEST_CASE("halts: a share of 0 never explores") {
  Rule rule = kTraining;
  rule.exploration = 0;
  Row row = exploring(wants_to_stop(1), 8);
  row.u = 0;
  CHECK(halts(row, rule));
}

TEST_CASE("halts: with one segment at most it is over after the first") {
  Rule one = kTraining;
  one.max_steps = 1;
  CHECK(halts(exploring(wants_to_go_on(1), 2), one));
}

TEST_CASE("steps: the next segment of the same puzzle, or the first of a new one") {
  CHECK(next_steps(3, false) == 4);
  CHECK(next_steps(3, true) == 1);
  CHECK(next_steps(16, true) == 1);
}

TEST_CASE("steps: how many segments a puzzle takes that wants to stop at once") {
  CHECK(segments_taken(wants_to_stop(1), kTraining) == 1);
  CHECK(segments_taken(exploring(wants_to_stop(1), 5), kTraining) == 5);
  CHECK(segments_taken(wants_to_go_on(1), kTraining) == 8);
}

TEST_CASE("halt target: 1 only if every position is right") {
  CHECK(halt_target({4, 5, 6}, {4, 5, 6}) == 1);
  CHECK(halt_target({4, 5, 7}, {4, 5, 6}) == 0);
}

TEST_CASE("halt target: a position without a label does not count") {
  CHECK(halt_target({4, 9, 6}, {4, kIgnored, 6}) == 1);
  CHECK(halt_target({4, 9, 7}, {4, kIgnored, 6}) == 0);
  CHECK(halt_target({1, 2}, {kIgnored, kIgnored}) == 1);
}

TEST_CASE("continue target: the better of stopping and going on, as a probability") {
  CHECK(continue_target(3, 8, 0.5, -1) == doctest::Approx(sigmoid(0.5)));
  CHECK(continue_target(3, 8, -1, 2) == doctest::Approx(sigmoid(2)));
  CHECK(continue_target(3, 8, -3, -2) == doctest::Approx(sigmoid(-2)));
}

TEST_CASE("continue target: at max_steps nothing is left but stopping") {
  CHECK(continue_target(7, 8, -1, 2) == doctest::Approx(sigmoid(2)));
  CHECK(continue_target(8, 8, -1, 2) == doctest::Approx(sigmoid(-1)));
}

TEST_CASE("continue target: it lies between 0 and 1 for large numbers, too") {
  CHECK(continue_target(1, 8, -2000, -1000) == doctest::Approx(0));
  CHECK(continue_target(1, 8, 1000, 2000) == doctest::Approx(1));
}

}  // namespace hrm::course
