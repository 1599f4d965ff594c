// `make bench`: the machine's limits, every kernel as a share of them, whole training steps with a
// breakdown, solving and evaluation. A table on standard output, JSON in the file named by --json.
//
//   bench [--json FILE]              all of it
//   bench arc                        variants and votes of ARC
//   bench compressarc                a step of CompressARC, for tasks of six sizes
//   bench step PRESET DTYPE BATCH    one training step      }
//   bench solve DTYPE                one 9x9 puzzle, 27M    } a line of JSON, for
//   bench memory PRESET DTYPE BATCH  peak memory of a step  } bench/pytorch_hrm.py
#include <omp.h>

#include <cstdio>
#include <fstream>
#include <map>

#include <nlohmann/json.hpp>

#include "bench/entries.h"
#include "hrm/config.h"

using namespace hrm;
using namespace hrm::bench;

namespace {

double share_of_limit(const Entry& e, const Machine& m) {
  if (e.unit == Unit::bytes) return e.rate() / m.copy;
  // Attention computes in f32 whatever it stores.
  return e.rate() / (e.group == "product bf16" ? m.bf16() : m.f32);
}

void report(const std::vector<Entry>& entries, const Machine& m, Json& json) {
  std::string group;
  for (const Entry& e : entries) {
    if (e.group != group) {
      group = e.group;
      const char* unit = e.unit == Unit::bytes ? "GB/s" : "GFLOP/s";
      std::printf("\n%-44s %10s %8s\n", group.c_str(), unit, "of limit");
    }
    const double share = share_of_limit(e, m);
    std::printf("  %-42s %10.1f %7.0f%%\n", e.name.c_str(), 1e-9 * e.rate(), 100 * share);
    json.push_back({{"group", e.group},
                    {"name", e.name},
                    {"seconds", e.best},
                    {"rate", e.rate()},
                    {"share_of_limit", share}});
  }
}

Json report(const StepResult& r) {
  std::printf("  %-8s %-5s %5lld x %-4lld %7d %10.2f %10.1f %7.0f%% %10.0f\n", r.preset.c_str(),
              r.dtype.c_str(), static_cast<long long>(r.batch), static_cast<long long>(r.positions),
              r.threads, static_cast<double>(r.batch) / r.seconds, 1e-9 * r.flops / r.seconds,
              100 * r.flops / r.seconds / r.peak_flops, r.activation_bytes / (1 << 20));
  return {{"preset", r.preset},
          {"dtype", r.dtype},
          {"batch", r.batch},
          {"positions", r.positions},
          {"threads", r.threads},
          {"seconds", r.seconds},
          {"flops", r.flops},
          {"share_of_peak", r.flops / r.seconds / r.peak_flops},
          {"activation_bytes", r.activation_bytes},
          {"kernels", r.shares}};
}

void report_shares(const StepResult& r) {
  std::printf("\n  %s %s, thread time by kernel:", r.preset.c_str(), r.dtype.c_str());
  for (const auto& [kernel, share] : r.shares)
    if (share > 0.01) std::printf("  %s %.0f%%", kernel.c_str(), 100 * share);
  std::printf("\n");
}

DType dtype_named(const std::string& name) {
  HRM_CHECK(name == "f32" || name == "bf16", "[bench] the dtype must be f32 or bf16, got '", name,
            "'");
  return name == "f32" ? DType::f32 : DType::bf16;
}

// The most bytes that have been resident so far. (getrusage would also count what the caller had
// before exec.)
double peak_resident() {
  std::ifstream status("/proc/self/status");
  for (std::string key, rest; status >> key && std::getline(status, rest);)
    if (key == "VmHWM:") return 1024 * std::stod(rest);
  return 0;
}

void run_compressarc(Json& json, int threads) {
  std::printf("\nCompressARC, ms a step\n  %-10s %10s %10s %10s\n", "cells", "1 thread",
              (std::to_string(threads) + " threads").c_str(), "MiB");
  for (const CompressResult& r : measure_compressarc(threads)) {
    std::printf("  %-10lld %10.1f %10.1f %10.0f\n", static_cast<long long>(r.cells),
                1e3 * r.one_thread, 1e3 * r.all_threads, r.peak_bytes / (1 << 20));
    json["compressarc"].push_back({{"cells", r.cells},
                                   {"one_thread", r.one_thread},
                                   {"all_threads", r.all_threads},
                                   {"peak_bytes", r.peak_bytes}});
  }
}

// The small commands. They take what they are given: their caller is a script.
int single(const std::vector<std::string>& args) {
  const int threads = omp_get_max_threads();
  if (args[0] == "solve" && args.size() == 2) {
    std::printf("%s\n",
                Json{{"seconds", seconds_to_solve(dtype_named(args[1]), 2)}}.dump().c_str());
    return 0;
  }
  if (args[0] == "arc" && args.size() == 1) {
    const ArcResult r = measure_arc(400, 1000);
    std::printf("%s\n", Json{{"open_seconds", r.open_seconds},
                             {"row_seconds", r.row_seconds},
                             {"vote_seconds", r.vote_seconds},
                             {"vote_bytes", r.vote_bytes},
                             {"votes", r.votes}}
                            .dump()
                            .c_str());
    return 0;
  }
  if (args[0] == "compressarc" && args.size() == 1) {
    Json json;
    run_compressarc(json, threads);
    return 0;
  }
  HRM_CHECK((args[0] == "step" || args[0] == "memory") && args.size() == 4,
            "[bench] usage: bench [--json FILE] | arc | compressarc | step PRESET DTYPE BATCH | "
            "solve DTYPE | "
            "memory PRESET DTYPE BATCH");
  const double before = peak_resident();
  const StepResult r = measure_step(args[1], dtype_named(args[2]), std::stoll(args[3]), threads, 3,
                                    args[0] == "step");
  std::printf("%s\n",
              Json{{"seconds", r.seconds}, {"bytes", peak_resident() - before - r.state_bytes}}
                  .dump()
                  .c_str());
  return 0;
}

// The machine's limits, then every kernel as a share of them. The tensors of the entries are gone
// when it returns: those of a step would be counted together with them.
void run_kernels(Json& json, int threads) {
  std::vector<Entry> entries = machine_entries();
  const size_t machine_count = entries.size();
  for (auto more : {eigen_entries(), kernel_entries()})
    entries.insert(entries.end(), more.begin(), more.end());
  measure(entries, 6);
  const Machine machine = Machine::of(entries);
  std::printf("%d threads\n\n%-44s\n", threads, "machine");
  for (size_t i = 0; i < machine_count; ++i)
    std::printf("  %-42s %10.1f %s\n", entries[i].name.c_str(), 1e-9 * entries[i].rate(),
                entries[i].unit == Unit::bytes ? "GB/s" : "GFLOP/s");
  json["machine"] = {{"f32", machine.f32},
                     {"bf16_dot", machine.bf16_dot},
                     {"bf16_tile", machine.bf16_tile},
                     {"copy", machine.copy}};
  entries.erase(entries.begin(), entries.begin() + static_cast<int64_t>(machine_count));
  report(entries, machine, json["kernels"] = Json::array());
}

// Training steps of several models. Returns the seconds of the 27M model in f32 with all threads.
double run_steps(Json& json, int threads) {
  std::printf("\ntraining step\n  %-8s %-5s %12s %7s %10s %10s %8s %10s\n", "preset", "dtype",
              "batch x S", "threads", "samples/s", "GFLOP/s", "of peak", "MiB");
  std::vector<StepResult> steps;
  const auto step = [&](const char* preset, DType t, int64_t batch, int count, int rounds) {
    steps.push_back(measure_step(preset, t, batch, count, rounds));
    json["steps"].push_back(report(steps.back()));
    return steps.back().seconds;
  };
  const double all = step("hrm-27m", DType::f32, 8, threads, 4);
  const double one = threads > 1 ? step("hrm-27m", DType::f32, 8, 1, 3) : all;
  step("hrm-27m", DType::bf16, 8, threads, 5);
  for (const DType t : {DType::f32, DType::bf16})
    for (const char* preset : {"sudoku4", "sudoku6", "sudoku9"}) step(preset, t, 64, threads, 8);
  std::printf("  (MiB: peak of tensors less weights, gradients and optimizer state)\n");
  for (const StepResult& r : steps)
    if (r.threads == threads) report_shares(r);
  std::printf("\n%d threads against 1: %.2f x\n", threads, one / all);
  json["thread_speedup"] = one / all;
  return all;
}

void run_solving(Json& json) {
  for (const DType t : {DType::f32, DType::bf16}) {
    const double seconds = seconds_to_solve(t, 3);
    std::printf("one 9x9 puzzle, 27M, 16 segments, %s: %.3f s\n", name_of(t), seconds);
    json["solve_seconds"][name_of(t)] = seconds;
  }
  const HaltingResult halting = measure_halting(1000, 3);
  std::printf(
      "evaluation of 1,000 puzzles with halting: %.0f%% of the segments, %.0f%% of the time\n",
      100 * halting.share_of_segments, 100 * halting.share_of_time);
  json["halting"] = {{"mean_segments", halting.mean_segments},
                     {"share_of_segments", halting.share_of_segments},
                     {"share_of_time", halting.share_of_time}};
}

// step_seconds: of the 27M model, for comparison.
void run_arc(Json& json, double step_seconds) {
  const ArcResult arc = measure_arc(400, 1000);
  std::printf(
      "ARC, 400 tasks x 1,000 variants: open in %.2f s, a row made in %.0f us (%.2f%% of a 27M "
      "sample of 81 tokens), a vote in %.0f us, %.0f MiB while voting\n",
      arc.open_seconds, 1e6 * arc.row_seconds, 100 * arc.row_seconds / (step_seconds / 8),
      1e6 * arc.vote_seconds, arc.vote_bytes / (1 << 20));
  json["arc"] = {{"open_seconds", arc.open_seconds},
                 {"row_seconds", arc.row_seconds},
                 {"vote_seconds", arc.vote_seconds},
                 {"vote_bytes", arc.vote_bytes}};
}

int run(const std::string& file) {
  const double start = now();
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // the table grows while one watches
  const int threads = omp_get_max_threads();
  Json json;
  json["threads"] = threads;
  run_kernels(json, threads);
  const double step_seconds = run_steps(json, threads);
  run_solving(json);
  run_arc(json, step_seconds);
  run_compressarc(json, threads);
  std::printf("\nmeasured in %.0f s\n", now() - start);
  if (!file.empty()) {
    std::ofstream(file) << json.dump(1) << '\n';
    std::printf("written: %s\n", file.c_str());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.empty()) return run("");
  return args[0] == "--json" && args.size() == 2 ? run(args[1]) : single(args);
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
