// When and where something was computed, for the records.
//
//     config["started"] = time_text(std::time(nullptr));   // "2026-11-29 09:10 UTC"
//     config["machine"] = machine_text();                  // "AMD EPYC 9R45, 8 threads"
#pragma once

#include <ctime>
#include <string>

namespace hrm {

std::string time_text(std::time_t time);
// The processor's name and the threads that are used.
std::string machine_text();

}  // namespace hrm
