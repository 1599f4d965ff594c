// What most sources of hrm/ and of the tests include, compiled once for all of them: the Makefile
// puts it before each of these sources where the compiler is g++. Sources do not rely on it: they
// include what they use, and `make check-clang` compiles them without.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "hrm/config.h"
#include "hrm/support/text.h"
#include "nn/module.h"
#include "tensor/io.h"
