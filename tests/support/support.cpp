#include "tests/support/support.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>

#ifdef HRM_EMULATE
#include "kernels/cuda/emulate/emulate.h"

// With $KERNEL_LIST set: writes a line "kernel<TAB>test case" to that file for every CUDA kernel
// that a test case has launched, from which tests/run.sh makes its table.
struct KernelList : doctest::IReporter {
  explicit KernelList(const doctest::ContextOptions&) {
    if (const char* path = std::getenv("KERNEL_LIST")) out.open(path);
  }
  void test_case_start(const doctest::TestCaseData& test) override {
    name = test.m_name;
    hrm::emulate::take_launched_kernels();
  }
  void test_case_end(const doctest::CurrentTestCaseStats&) override {
    for (const std::string& kernel : hrm::emulate::take_launched_kernels())
      if (out) out << kernel << '\t' << name << '\n';
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

  std::ofstream out;
  std::string name;
};
REGISTER_LISTENER("kernels", 1, KernelList);
#endif

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

void write_text(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

double relative_distance(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(error / norm);
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
