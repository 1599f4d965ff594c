// Tortures the program: kills it, damages its files, shares its folders, feeds it hostile names.
// docs/reliability.md says what is promised.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "tests/torture/stage.h"

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

constexpr const char* kUsage =
    "usage: torture [--hrm PROGRAM] [--work FOLDER] [--seed N] [--short] [--memory GIB] "
    "[--only PART]...\n"
    "  --hrm     the program to torture (build/cpu/hrm)\n"
    "  --work    where to work, and to keep the files of failures (build/torture)\n"
    "  --seed    of everything random (1)\n"
    "  --short   a part of all cases, in about a minute\n"
    "  --memory  address space of each process in GiB; 0: no limit (8)\n"
    "  --only    a part: kills, calls, damage, signals, sharing, names, links, output\n";

struct Options {
  Path program = "build/cpu/hrm";
  Path work = "build/torture";
  uint64_t seed = 1;
  size_t memory = 8;  // GiB
  bool brief = false;
  std::vector<std::string> only;
};

struct Part {
  const char* name;
  const char* title;
  void (*work)(Torture&);
};

constexpr Part kParts[] = {
    {"kills", "SIGKILL at random times", kill_at_random_times},
    {"calls", "SIGKILL at system calls", kill_at_system_calls},
    {"damage", "damaged files", damage_files},
    {"signals", "SIGINT and SIGTERM", stop_by_signals},
    {"sharing", "two processes on one run folder", share_a_run_folder},
    {"names", "hostile task names and experiments", use_hostile_names},
    {"links", "links in a run folder", follow_links},
    {"output", "output to a full device", lose_output},
};

[[noreturn]] void fail(const std::string& why) { throw std::runtime_error(why); }

uint64_t whole_number(const std::string& option, const std::string& text) {
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
    fail(option + " must be a whole number, got '" + text + "'");
  return std::strtoull(text.c_str(), nullptr, 10);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--short") {
      options.brief = true;
      continue;
    }
    if (i + 1 == argc) fail("unknown option or no value: " + option + "\n" + kUsage);
    const std::string value = argv[++i];
    if (option == "--hrm")
      options.program = value;
    else if (option == "--work")
      options.work = value;
    else if (option == "--seed")
      options.seed = whole_number(option, value);
    else if (option == "--memory")
      options.memory = whole_number(option, value);
    else if (option == "--only")
      options.only.push_back(value);
    else
      fail("unknown option " + option + "\n" + kUsage);
  }
  return options;
}

bool wanted(const Options& options, const Part& part) {
  if (options.only.empty()) return true;
  for (const std::string& name : options.only)
    if (name == part.name) return true;
  return false;
}

// Empties the working folder: only one that this program has made.
void prepare_folder(const Path& work) {
  const Path marker = work / "made_by_torture";
  if (fs::exists(work) && !fs::exists(marker))
    fail(work.string() + " exists and is no folder of this program. HINT: another --work");
  fs::remove_all(work);
  fs::create_directories(work);
  write_file(marker, "");
}

bool torture(const Options& options) {
  for (const std::string& name : options.only) {
    bool known = false;
    for (const Part& part : kParts) known = known || name == part.name;
    if (!known) fail("unknown part " + name + "\n" + kUsage);
  }
  launch.program = fs::canonical(options.program);
  launch.memory_limit = options.memory << 30;
  // The program would start itself once more to set this.
  ::setenv("GOMP_SPINCOUNT", "10000", 1);
  const Path work = fs::absolute(options.work);
  prepare_folder(work);
  fs::create_directories(work / "stage");
  fs::current_path(work / "stage");

  const double began = now();
  Ledger ledger(work / "failures");
  say("seed " + std::to_string(options.seed) + ", program " + launch.program.string());
  const double seconds = make_stage();
  Torture torture{ledger, options.seed, options.brief, outcome_of("whole", kLongTraining.steps),
                  seconds};
  for (const Part& part : kParts) {
    if (!wanted(options, part)) continue;
    say(std::string("== ") + part.title);
    const double part_began = now();
    part.work(torture);
    std::printf("  %.0f s\n", now() - part_began);
  }
  fs::current_path(work);
  fs::remove_all(work / "stage");
  ledger.print_table();
  std::printf("seed %llu, %.0f s\n", static_cast<unsigned long long>(options.seed), now() - began);
  return ledger.print_summary();
}

}  // namespace
}  // namespace hrm::torture

int main(int argc, char** argv) {
  try {
    return hrm::torture::torture(hrm::torture::parse(argc, argv)) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "torture: %s\n", error.what());
    return 2;
  }
}
