#include "tests/support/support.h"

#include <algorithm>
#include <cstdlib>

namespace hrm::test {
namespace {

namespace fs = std::filesystem;

fs::path folder_from(const char* variable, const char* fallback) {
  const char* value = std::getenv(variable);
  return value && *value ? value : fallback;
}

}  // namespace

fs::path reference_dir() { return folder_from("REFERENCE_DIR", "../shared/reference"); }
fs::path data_dir() { return folder_from("DATA_DIR", "../shared/data"); }

std::string test_name() {
  const auto* options = doctest::getContextOptions();
  return options && options->currentTest ? options->currentTest->m_name : "?";
}

std::vector<Device> devices() {
  if constexpr (kBuiltWithCuda) return {Device::cpu, Device::cuda};
  return {Device::cpu};
}

void expect_error(const std::function<void()>& action, const std::string& message) {
  std::string got;
  try {
    action();
    got = "no error";
  } catch (const Error& error) {
    got = error.what();
    INFO("expected an error with: ", message);
    INFO("got: ", got);
    CHECK(got.find(message) != std::string::npos);
    CHECK(got.find('\n') == std::string::npos);
    return;
  } catch (const std::exception& error) {
    got = std::string("not an hrm::Error: ") + error.what();
  }
  FAIL_CHECK("expected an error with '" << message << "', got " << got);
}

TempDir::TempDir() {
  std::string name = (fs::temp_directory_path() / "hrm_test_XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::vector<std::string> TempDir::list() const {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path_))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace hrm::test
