// What the library computes, as JSON lines: the same program runs natively and as WebAssembly, and
// tests/wasm/compare.mjs holds the numbers of both beside each other.
//
//     trace train FOLDER                 50 steps; writes FOLDER/model.safetensors
//     trace solve MODEL PUZZLE           the answers and logits of four segments
//     trace time FOLDER SETTINGS STEPS   samples a second
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "hrm/c_api.h"

namespace {

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "trace: %s\n", what);
  std::exit(1);
}
template <class T>
T* made(T* handle) {
  if (!handle) fail(hrm_error());
  return handle;
}
void done(int status) {
  if (status < 0) fail(hrm_error());
}

// On a small model, so that it takes seconds everywhere.
constexpr const char* kSmall = "hidden_size=64 puzzle_emb_ndim=64 batch_size=16 total_steps=200";

void train(const std::string& folder) {
  const std::string data = folder + "/data";
  done(hrm_make_data("sudoku", 4, 400, 40, 1, data.c_str()));
  hrm_training* training = made(hrm_train(data.c_str(), "sudoku4", kSmall));
  for (int step = 0; step < 50; ++step) {
    done(hrm_training_run(training, 1));
    std::puts(made(hrm_training_metrics(training)));
  }
  hrm_model* model = made(hrm_training_model(training));
  size_t bytes = 0;
  const void* file = made(hrm_model_weights(model, &bytes));
  std::FILE* out = std::fopen((folder + "/model.safetensors").c_str(), "wb");
  if (!out || std::fwrite(file, 1, bytes, out) != bytes || std::fclose(out) != 0)
    fail("cannot write the model");
  hrm_model_free(model);
  hrm_training_free(training);
}

void solve(const char* path, const char* text) {
  hrm_model* model = made(hrm_model_open(path, nullptr));
  hrm_sizes sizes;
  done(hrm_model_sizes(model, &sizes));
  std::vector<int32_t> puzzle(sizes.cells), answer(sizes.cells);
  done(hrm_parse(model, text, puzzle.data()));
  hrm_refinement* r = made(hrm_refine(model, puzzle.data(), 1, 0, 0));
  std::vector<float> logits(static_cast<size_t>(sizes.cells) * sizes.vocab);
  for (int segment = 1; segment <= 4; ++segment) {
    hrm_halting halting;
    done(hrm_segment(r));
    done(hrm_answers(r, answer.data()));
    done(hrm_logits(r, logits.data()));
    done(hrm_halting_values(r, &halting));
    std::printf("{\"segment\": %d, \"answer\": \"%s\", \"q_halt\": %.6g, \"logits\": [", segment,
                hrm_text(model, answer.data()), halting.q_halt);
    for (size_t i = 0; i < logits.size(); ++i) std::printf("%s%.7g", i ? ", " : "", logits[i]);
    std::puts("]}");
  }
  hrm_refinement_free(r);
  hrm_model_free(model);
}

// A folder that is not there yet.
void time_steps(const std::string& folder, const char* settings, int steps) {
  const std::string data = folder + "/data";
  done(hrm_make_data("sudoku", 4, 400, 40, 1, data.c_str()));
  hrm_training* training = made(hrm_train(data.c_str(), "sudoku4", settings));
  done(hrm_training_run(training, 3));
  made(hrm_training_metrics(training));
  done(hrm_training_run(training, steps));
  std::puts(made(hrm_training_metrics(training)));
  hrm_training_free(training);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string task = argc > 1 ? argv[1] : "";
  if (task == "train" && argc == 3) {
    train(argv[2]);
  } else if (task == "solve" && argc == 4) {
    solve(argv[2], argv[3]);
  } else if (task == "time" && argc == 5) {
    time_steps(argv[2], argv[3], std::atoi(argv[4]));
  } else {
    fail("train FOLDER, solve MODEL PUZZLE, or time FOLDER SETTINGS STEPS");
  }
}
