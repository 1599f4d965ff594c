// hrm/c_api.h: errors, models, puzzles as text.
#include <algorithm>
#include <cstring>

#include <nlohmann/json.hpp>

#include "hrm/c_api/objects.h"
#include "hrm/support/text.h"
#include "hrm/support/version.h"
#include "hrm/train/checkpoint.h"

using namespace hrm;
using namespace hrm::c_api;

namespace {
// Of a fixed size: to say that there is no memory takes none.
constexpr size_t kLongestError = 2048;
thread_local char last_error[kLongestError];
}  // namespace

hrm_model::hrm_model(LoadedRun loaded)
    : config(std::move(loaded.config)), task(std::move(loaded.task)), step(loaded.step) {
  HRM_CHECK(loaded.model,
            "[c_api] this model is a lattice, which has no segments. HINT: a model of HRM");
  model = std::move(loaded.model);
  HRM_CHECK(config.model.input_len() == config.model.seq_len,
            "[c_api] this model is told more than the puzzle (conditioning ",
            to_string(config.model.conditioning), "). HINT: a model for Sudoku, say");
  const ModelConfig& c = config.model;
  HRM_CHECK(task->fits(c.seq_len, c.vocab_size), "[c_api] the model takes ", c.seq_len,
            " tokens of a vocabulary of ", c.vocab_size, ", and puzzles of kind '", task->kind(),
            "' have others. HINT: is the config.json that of another run?");
  for (const Level level : model->recurrence().updates) updates += level == Level::H ? 'H' : 'L';
  Json settings = config.to_json();
  settings["task"] = task->to_json();
  json = settings.dump();
}

namespace hrm::c_api {

void remember_error(const char* message) noexcept {
  const auto keep = [](const char* text) {
    const size_t size = std::min(std::strlen(text), kLongestError - 1);
    std::memcpy(last_error, text, size);
    last_error[size] = 0;
  };
  try {
    keep(one_line(message).c_str());
  } catch (...) {
    keep("[memory] there is not enough to say what was wrong");
  }
}

Tokens tokens_of(const hrm_model& model, const int32_t* tokens, int64_t count, const char* name) {
  required(tokens, name);
  const int64_t vocab = model.config.model.vocab_size;
  for (int64_t i = 0; i < count; ++i)
    HRM_CHECK(tokens[i] >= 0 && tokens[i] < vocab, "[c_api] ", name, "[", i,
              "] must be a token from 0 to ", vocab - 1, ", got ", tokens[i]);
  return {tokens, tokens + count};
}

}  // namespace hrm::c_api

const char* hrm_version(void) { return kVersion; }

const char* hrm_error(void) { return last_error; }

hrm_model* hrm_model_open(const char* run, const char* checkpoint) {
  return guarded<hrm_model*>(nullptr, [&] {
    return new hrm_model(load_any_run(required(run, "run"), checkpoint ? checkpoint : ""));
  });
}

hrm_model* hrm_model_parse(const void* safetensors, size_t bytes, const char* config) {
  return guarded<hrm_model*>(nullptr, [&] {
    const auto* data = static_cast<const std::byte*>(required(safetensors, "safetensors"));
    const char* name = "the model";
    return new hrm_model(
        load_model(parse_safetensors({data, bytes}, name), name, config ? config : ""));
  });
}

void hrm_model_free(hrm_model* model) { delete model; }

int hrm_model_sizes(const hrm_model* model, hrm_sizes* sizes) {
  return status([&] {
    const Model& m = *object(model).model;
    const ModelConfig& c = m.config();
    const auto layers = [](const auto& level) {
      return level ? static_cast<int32_t>(level->layers.size()) : 0;
    };
    const bool shared = c.levels == Levels::shared;
    *required(sizes, "sizes") = {
        .cells = static_cast<int32_t>(c.seq_len),
        .vocab = static_cast<int32_t>(c.vocab_size),
        .positions = static_cast<int32_t>(m.positions()),
        .hidden = static_cast<int32_t>(c.hidden_size),
        .heads = c.mlp_t ? 0 : static_cast<int32_t>(c.num_heads),
        .H_layers = layers(shared ? m.L_level : m.H_level),
        .L_layers = layers(m.L_level),
        .updates = static_cast<int32_t>(m.recurrence().updates.size()),
        .segments = static_cast<int32_t>(c.halt_max_steps),
        .parameters = static_cast<int32_t>(m.parameter_count()),
    };
  });
}

const char* hrm_model_updates(const hrm_model* model) {
  return guarded<const char*>(nullptr, [&] { return object(model).updates.c_str(); });
}

const char* hrm_model_config(const hrm_model* model) {
  return guarded<const char*>(nullptr, [&] { return object(model).json.c_str(); });
}

const void* hrm_model_weights(hrm_model* model, size_t* bytes) {
  return guarded<const void*>(nullptr, [&] {
    hrm_model& m = object(model);
    m.bytes = safetensors_bytes(m.model->state_dict(kOfficialPrefix),
                                model_metadata(m.config, *m.task, m.step));
    *required(bytes, "bytes") = m.bytes.size();
    return m.bytes.data();
  });
}

int hrm_parse(const hrm_model* model, const char* text, int32_t* tokens) {
  return status([&] {
    const Tokens parsed = object(model).task->parse(required(text, "text"));
    const int64_t cells = model->config.model.seq_len;
    HRM_CHECK(std::ssize(parsed) == cells, "[c_api] the puzzle has ", parsed.size(),
              " cells, and the model takes ", cells);
    std::ranges::copy(parsed, required(tokens, "tokens"));
  });
}

const char* hrm_text(hrm_model* model, const int32_t* tokens) {
  return guarded<const char*>(nullptr, [&] {
    hrm_model& m = object(model);
    m.text = m.task->text(tokens_of(m, tokens, m.config.model.seq_len, "tokens"));
    return m.text.c_str();
  });
}

const char* hrm_wrong(hrm_model* model, const int32_t* puzzle, const int32_t* answer) {
  return guarded<const char*>(nullptr, [&] {
    hrm_model& m = object(model);
    const int64_t cells = m.config.model.seq_len;
    m.text =
        m.task->check(tokens_of(m, puzzle, cells, "puzzle"), tokens_of(m, answer, cells, "answer"));
    return m.text.c_str();
  });
}

int hrm_solution(const hrm_model* model, const int32_t* puzzle, int32_t* answer) {
  return status([&] {
    const hrm_model& m = object(model);
    const int64_t cells = m.config.model.seq_len;
    const Tokens solution = m.task->solution(tokens_of(m, puzzle, cells, "puzzle"));
    HRM_CHECK(std::ssize(solution) == cells, "[c_api] the solution has ", solution.size(),
              " cells, and the puzzle ", cells);
    std::ranges::copy(solution, required(answer, "answer"));
  });
}
