#include "hrm/support/machine.h"

#include <omp.h>

#include <fstream>

#include "hrm/support/text.h"

namespace hrm {

std::string time_text(std::time_t time) {
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

std::string machine_text() {
  std::ifstream info("/proc/cpuinfo");
  std::string name = "an unnamed processor";
  for (std::string line; std::getline(info, line);)
    if (const size_t colon = line.find(": ");
        line.starts_with("model name") && colon != line.npos) {
      name = printable(line.substr(colon + 2));
      break;
    }
  const int threads = omp_get_max_threads();
  return name + ", " + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

}  // namespace hrm
